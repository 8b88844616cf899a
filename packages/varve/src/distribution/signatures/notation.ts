import { constants, type KeyObject, verify, X509Certificate } from 'node:crypto';
import type { Digest } from '../../oci/index.ts';
import { checkChain } from './certificates.ts';

export const notationArtifactType = 'application/vnd.cncf.notary.signature';
export const notationJwsType = 'application/jose+json';

/** Extended key usage of a signer of code. RFC 5280 section 4.2.1.12 */
const codeSigning = '1.3.6.1.5.5.7.3.3';
const payloadType = 'application/vnd.cncf.notary.payload.v1+json';
const signingScheme = 'io.cncf.notary.signingScheme';
const signingTime = 'io.cncf.notary.signingTime';
const expiry = 'io.cncf.notary.expiry';
const understood: ReadonlySet<unknown> = new Set([signingScheme, expiry]);

type Json = Readonly<Record<string, unknown>>;

interface Algorithm {
  readonly hash: string;
  readonly options: (key: KeyObject) => Parameters<typeof verify>[2];
}

const pss = (saltLength: number) => (key: KeyObject) => ({
  key,
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength,
});
const ecdsa = (key: KeyObject) => ({ key, dsaEncoding: 'ieee-p1363' as const });
/** The algorithms of the specification, none else. */
const algorithms: Readonly<Record<string, Algorithm>> = {
  PS256: { hash: 'sha256', options: pss(32) },
  PS384: { hash: 'sha384', options: pss(48) },
  PS512: { hash: 'sha512', options: pss(64) },
  ES256: { hash: 'sha256', options: ecdsa },
  ES384: { hash: 'sha384', options: ecdsa },
  ES512: { hash: 'sha512', options: ecdsa },
};

/**
 * Checks a Notation signature in its JWS envelope (notaryproject.dev, signature-envelope-jws.md): a certificate for signing
 * code that leads to an authority made it, it is of this manifest, and it has not expired. Time stamps are not looked at: the
 * certificate has to be valid now.
 * @returns undefined when it holds, else why not as a sentence without full stop
 */
export function checkNotation(
  envelope: Uint8Array,
  subject: Digest,
  authorities: readonly X509Certificate[],
  now = new Date(),
): string | undefined {
  const jws = parse(Buffer.from(envelope).toString());
  const { payload, protected: head, signature, header } = jws ?? {};
  if (typeof payload !== 'string' || typeof head !== 'string' || typeof signature !== 'string') {
    return 'its envelope is no JWS';
  }
  const fields = parse(decode(head).toString());
  if (!fields) return 'its envelope is no JWS';
  const chain = readChain((header as Json | undefined)?.['x5c']);
  const [signer] = chain ?? [];
  if (!chain || !signer) return 'it carries no certificates';
  const { alg, crit, cty } = fields;
  const algorithm = typeof alg === 'string' && Object.hasOwn(algorithms, alg) ? algorithms[alg] : undefined;
  if (!algorithm) return `its algorithm is ${JSON.stringify(alg)}`;
  if (!Array.isArray(crit) || !crit.includes(signingScheme) || crit.some((item) => !understood.has(item))) {
    return 'it has critical fields that are not understood';
  }
  if (fields[signingScheme] !== 'notary.x509' || cty !== payloadType)
    return 'its signing scheme is not notary.x509';
  if (!holds(algorithm, signer.publicKey, `${head}.${payload}`, decode(signature)))
    return 'its bytes were changed';
  if (signer.ca || !signer.keyUsage?.includes(codeSigning)) return 'its certificate is not for signing code';
  const end = fields[expiry];
  if (end !== undefined && !(typeof end === 'string' && Date.parse(end) > now.getTime()))
    return 'it has expired';
  if (typeof fields[signingTime] !== 'string') return 'it does not say when it was made';
  const wrong = checkChain(chain, authorities, now);
  if (wrong !== undefined) return wrong;
  const target = (parse(decode(payload).toString())?.['targetArtifact'] ?? {}) as Json;
  return target['digest'] === subject ? undefined : `it is a signature of ${String(target['digest'])}`;
}

function holds(algorithm: Algorithm, key: KeyObject, data: string, signature: Uint8Array): boolean {
  try {
    return verify(algorithm.hash, Buffer.from(data), algorithm.options(key), signature);
  } catch {
    // A key of another kind than the algorithm says.
    return false;
  }
}

function readChain(value: unknown): X509Certificate[] | undefined {
  if (!Array.isArray(value)) return undefined;
  try {
    return value.map((item) => new X509Certificate(Buffer.from(String(item), 'base64')));
  } catch {
    return undefined;
  }
}

function decode(text: string): Buffer {
  return Buffer.from(text, 'base64url');
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}
