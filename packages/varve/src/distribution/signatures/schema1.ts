import { createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';

export const schema1SignedType = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

const hashes: Readonly<Record<string, string>> = { ES256: 'sha256', ES384: 'sha384', ES512: 'sha512' };
const maxSignatures = 16;

type Json = Readonly<Record<string, unknown>>;

/**
 * Checks the JWS of a Docker manifest of schema 1: the signed bytes are the document up to `formatLength`, and the tail that
 * the protected header names (docker/distribution, docs/spec/manifest-v2-1.md; libtrust's "pretty JSON signature").
 * @param keys the trusted ones; with none, it is enough that the document is as its own key signed it.
 * @returns undefined when it holds, else why not as a sentence without full stop
 */
export function checkSchema1(bytes: Uint8Array, keys: readonly KeyObject[]): string | undefined {
  const document = parse(Buffer.from(bytes).toString());
  const signatures = document?.['signatures'];
  if (!Array.isArray(signatures) || signatures.length === 0) return 'it is not signed';
  if (signatures.length > maxSignatures) return 'it has too many signatures';
  let reason = 'none of the trusted keys made it';
  for (const item of signatures as readonly unknown[]) {
    const result = checkOne(Buffer.from(bytes), (item ?? {}) as Json, keys);
    if (result === undefined) return undefined;
    reason = result;
  }
  return reason;
}

function checkOne(bytes: Buffer, item: Json, keys: readonly KeyObject[]): string | undefined {
  const { header, signature, protected: head } = item;
  const { alg, jwk } = (header ?? {}) as Json;
  if (typeof signature !== 'string' || typeof head !== 'string') return 'its signature is malformed';
  const fields = parse(Buffer.from(head, 'base64url').toString());
  const { formatLength, formatTail } = fields ?? {};
  if (!Number.isSafeInteger(formatLength) || typeof formatTail !== 'string')
    return 'its signature is malformed';
  const hash = typeof alg === 'string' && Object.hasOwn(hashes, alg) ? hashes[alg] : undefined;
  if (hash === undefined) return `its algorithm is ${JSON.stringify(alg)}`;
  const length = formatLength as number;
  if (length < 0 || length > bytes.length) return 'its signature is malformed';
  const payload = Buffer.concat([bytes.subarray(0, length), Buffer.from(formatTail, 'base64url')]);
  // What is read of the document must be what was signed: the same members but for the signatures.
  if (!sameDocument(payload, bytes)) return 'what is signed is another document';
  const key = readKey(jwk);
  if (!key) return 'its key is malformed';
  if (keys.length > 0 && !keys.some((trusted) => trusted.equals(key)))
    return 'none of the trusted keys made it';
  const data = Buffer.from(`${head}.${payload.toString('base64url')}`);
  try {
    const holds = verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
    return holds ? undefined : 'its bytes were changed';
  } catch {
    return 'its bytes were changed';
  }
}

function sameDocument(payload: Buffer, bytes: Buffer): boolean {
  const signed = parse(payload.toString());
  const { signatures: _, ...rest } = parse(bytes.toString()) ?? {};
  return signed !== undefined && JSON.stringify(signed) === JSON.stringify(rest);
}

function readKey(jwk: unknown): KeyObject | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined;
  try {
    return createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  } catch {
    return undefined;
  }
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}
