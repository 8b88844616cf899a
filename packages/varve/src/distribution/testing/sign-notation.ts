import { constants, type KeyObject, sign } from 'node:crypto';
import { encode, Tagged } from 'cborg';
import type { Identity } from './certificates.ts';

const scheme = 'io.cncf.notary.signingScheme';
const signingTime = 'io.cncf.notary.signingTime';

/** What a test wants to be different. */
export interface NotationChanges {
  /** Members of the protected header; undefined takes one away. */
  readonly head?: Readonly<Record<string, unknown>>;
  /** What is signed instead of the digest. */
  readonly digest?: string;
}

/** Algorithms by the kind of key: JOSE's name, COSE's number. */
const algorithms: Readonly<Record<string, readonly [name: string, number: number, hash: string]>> = {
  prime256v1: ['ES256', -7, 'sha256'],
  secp384r1: ['ES384', -35, 'sha384'],
  secp521r1: ['ES512', -36, 'sha512'],
  2048: ['PS256', -37, 'sha256'],
  3072: ['PS384', -38, 'sha384'],
};

/** A Notation signature in its JWS envelope, as notaryproject.dev has it. */
export function signNotationJws(
  subject: string,
  { key, certificate }: Identity,
  issuers: readonly Identity[],
  { head = {}, digest = subject }: NotationChanges = {},
): Buffer {
  const fields = {
    alg: algorithmOf(key)[0],
    cty: 'application/vnd.cncf.notary.payload.v1+json',
    crit: [scheme],
    [scheme]: 'notary.x509',
    [signingTime]: new Date().toISOString(),
    ...head,
  };
  const protectedHead = Buffer.from(JSON.stringify(fields)).toString('base64url');
  const payload = payloadOf(digest).toString('base64url');
  const signature = signBytes(key, Buffer.from(`${protectedHead}.${payload}`));
  const x5c = [certificate, ...issuers.map((issuer) => issuer.certificate)].map(({ raw }) =>
    raw.toString('base64'),
  );
  return Buffer.from(
    JSON.stringify({
      payload,
      protected: protectedHead,
      signature: signature.toString('base64url'),
      header: { x5c },
    }),
  );
}

/** A time of a header. */
export function coseTime(at: Date): Tagged {
  return new Tagged(1, Math.floor(at.getTime() / 1000));
}

/** A Notation signature in its COSE envelope, as notaryproject.dev has it. Names of `head` that are numbers are labels. */
export function signNotationCose(
  subject: string,
  { key, certificate }: Identity,
  issuers: readonly Identity[],
  { head = {}, digest = subject }: NotationChanges = {},
): Buffer {
  const fields = new Map<unknown, unknown>([
    [1, algorithmOf(key)[1]],
    [2, [scheme]],
    [3, 'application/vnd.cncf.notary.payload.v1+json'],
    [scheme, 'notary.x509'],
    [signingTime, coseTime(new Date())],
  ]);
  for (const [name, value] of Object.entries(head)) {
    const label = /^-?\d+$/.test(name) ? Number(name) : name;
    if (value === undefined) fields.delete(label);
    else fields.set(label, value);
  }
  const bytes = encode(fields);
  const payload = payloadOf(digest);
  const signature = signBytes(key, Buffer.from(encode(['Signature1', bytes, new Uint8Array(), payload])));
  const chain = [certificate, ...issuers.map((issuer) => issuer.certificate)].map(({ raw }) => raw);
  const rest = new Map<unknown, unknown>([
    [33, chain],
    ['io.cncf.notary.signingAgent', 'test/1'],
  ]);
  return Buffer.from(encode(new Tagged(18, [bytes, rest, payload, signature])));
}

function payloadOf(digest: string): Buffer {
  return Buffer.from(JSON.stringify({ targetArtifact: { mediaType: 'x/y', digest, size: 9 } }));
}

function algorithmOf(key: KeyObject): readonly [name: string, number: number, hash: string] {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const found = algorithms[namedCurve ?? String(modulusLength)];
  if (!found) throw new Error('no algorithm for this key');
  return found;
}

function signBytes(key: KeyObject, bytes: Buffer): Buffer {
  const [name, , hash] = algorithmOf(key);
  return name.startsWith('ES')
    ? sign(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
    : sign(hash, bytes, {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
}
