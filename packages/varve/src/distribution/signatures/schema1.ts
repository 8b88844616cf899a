import { createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';
import { quote } from './quote.ts';

export const schema1SignedType = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** libtrust's algorithms with the kind of key each is for. */
const algorithms: Readonly<Record<string, { readonly hash: string; readonly keyType: string }>> = {
  ES256: { hash: 'sha256', keyType: 'ec' },
  ES384: { hash: 'sha384', keyType: 'ec' },
  ES512: { hash: 'sha512', keyType: 'ec' },
  RS256: { hash: 'sha256', keyType: 'rsa' },
  RS384: { hash: 'sha384', keyType: 'rsa' },
  RS512: { hash: 'sha512', keyType: 'rsa' },
};
const maxSignatures = 16;

type Json = Readonly<Record<string, unknown>>;

/** A Docker manifest of schema 1 taken out of its envelope. Nothing is verified by that. */
export interface Schema1Envelope {
  /** The bytes that are signed; their digest is the manifest's. */
  readonly payload: Uint8Array;
  /** {@link Schema1Envelope.payload} as JSON: what the envelope holds beside the signatures. */
  readonly document: Json;
  readonly signatures: readonly Schema1Signature[];
}

interface Schema1Signature {
  readonly head: string;
  readonly algorithm: unknown;
  readonly jwk: unknown;
  readonly bytes: Uint8Array;
}

/**
 * Opens libtrust's "pretty JSON signature": the signed bytes are the document up to `formatLength`, and the tail that the
 * protected headers name (docker/distribution, docs/spec/manifest-v2-1.md).
 * @returns why it cannot be opened, as a sentence without full stop
 */
export function openSchema1(envelope: Uint8Array): Schema1Envelope | string {
  const bytes = Buffer.from(envelope.buffer, envelope.byteOffset, envelope.length);
  const outer = parse(bytes);
  const items = outer?.['signatures'];
  if (!outer || !Array.isArray(items) || items.length === 0) return 'it is not signed';
  if (items.length > maxSignatures) return 'it has too many signatures';
  const signatures: Schema1Signature[] = [];
  let payload: Buffer | undefined;
  for (const item of items as readonly unknown[]) {
    const { header, signature, protected: head } = (item ?? {}) as Json;
    const { alg, jwk } = (header ?? {}) as Json;
    if (typeof signature !== 'string' || typeof head !== 'string') return 'its signature is malformed';
    const { formatLength, formatTail } = parse(Buffer.from(head, 'base64url')) ?? {};
    if (!isLength(formatLength, bytes.length) || typeof formatTail !== 'string')
      return 'its signature is malformed';
    const signed = Buffer.concat([bytes.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
    if (payload && !payload.equals(signed)) return 'its signatures are of different documents';
    payload = signed;
    signatures.push({ head, algorithm: alg, jwk, bytes: Buffer.from(signature, 'base64url') });
  }
  const document = payload && parse(payload);
  // What is read of the envelope must be what was signed: the same members but for the signatures.
  const { signatures: _, ...rest } = outer;
  if (!payload || !document || !isSame(document, rest)) return 'what is signed is another document';
  return { payload, document, signatures };
}

/**
 * Checks the signatures of a Docker manifest of schema 1.
 * @param keys the trusted ones, a signature of one of which is enough; with none, every signature has to be of the key it
 * names, which says that nothing was changed and not by whom.
 * @returns undefined when it holds, else why not as a sentence without full stop
 */
export function checkSchema1(
  manifest: Uint8Array | Schema1Envelope,
  keys: readonly KeyObject[],
): string | undefined {
  const envelope = manifest instanceof Uint8Array ? openSchema1(manifest) : manifest;
  if (typeof envelope === 'string') return envelope;
  const payload = Buffer.from(envelope.payload).toString('base64url');
  let reason: string | undefined;
  for (const signature of envelope.signatures) {
    const wrong = checkOne(signature, payload, keys);
    if (keys.length > 0 && wrong === undefined) return undefined;
    reason ??= wrong;
  }
  return reason;
}

function checkOne(
  { head, algorithm, jwk, bytes }: Schema1Signature,
  payload: string,
  keys: readonly KeyObject[],
): string | undefined {
  const known =
    typeof algorithm === 'string' && Object.hasOwn(algorithms, algorithm) ? algorithms[algorithm] : undefined;
  if (!known) return `its algorithm is ${quote(algorithm)}`;
  const key = readKey(jwk);
  if (key?.asymmetricKeyType !== known.keyType) return 'its key is malformed';
  if (keys.length > 0 && !keys.some((trusted) => trusted.equals(key)))
    return 'none of the trusted keys made it';
  try {
    const data = Buffer.from(`${head}.${payload}`);
    return verify(known.hash, data, { key, dsaEncoding: 'ieee-p1363' }, bytes)
      ? undefined
      : 'its bytes were changed';
  } catch {
    return 'its bytes were changed';
  }
}

function isSame(one: Json, other: Json): boolean {
  try {
    return JSON.stringify(one) === JSON.stringify(other);
  } catch {
    // Nested deeper than the stack.
    return false;
  }
}

function isLength(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most;
}

function readKey(jwk: unknown): KeyObject | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined;
  try {
    return createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  } catch {
    return undefined;
  }
}

function parse(bytes: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}
