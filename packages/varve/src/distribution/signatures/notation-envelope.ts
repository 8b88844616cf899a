import { constants, type KeyObject, verify, type X509Certificate } from 'node:crypto';
import type { Digest } from '../../oci/index.ts';
import { checkChain } from './certificates.ts';
import { quote } from './quote.ts';

/** Extended key usage of a signer of code. RFC 5280 section 4.2.1.12 */
const codeSigning = '1.3.6.1.5.5.7.3.3';
const payloadType = 'application/vnd.cncf.notary.payload.v1+json';

/** Names of the attributes, the same in every form of envelope. */
export const attributes = {
  signingScheme: 'io.cncf.notary.signingScheme',
  signingTime: 'io.cncf.notary.signingTime',
  expiry: 'io.cncf.notary.expiry',
} as const;
const understood: ReadonlySet<unknown> = new Set([attributes.signingScheme, attributes.expiry]);

/** What a Notation signature says, whatever form its envelope has. All of it is as its maker wants it. */
export interface NotationEnvelope {
  /** `ES256` and the like. */
  readonly algorithm: unknown;
  /** Names of the attributes that have to be understood. */
  readonly critical: unknown;
  readonly contentType: unknown;
  readonly signingScheme: unknown;
  readonly signingTime: Date | undefined;
  /** undefined when there is none; an invalid date for what is none. */
  readonly expiry: Date | undefined;
  /** The signer's certificate first. */
  readonly chain: readonly X509Certificate[];
  /** The bytes that the signature is over. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly payload: Uint8Array;
}

interface Algorithm {
  readonly hash: string;
  readonly salt?: number;
  /** Bits of an RSA key, or the name of a curve: each algorithm goes with one size of key. */
  readonly key: number | string;
}

/** The algorithms of the specification, none else. signature-specification.md#algorithm-selection */
const algorithms: Readonly<Record<string, Algorithm>> = {
  PS256: { hash: 'sha256', salt: 32, key: 2048 },
  PS384: { hash: 'sha384', salt: 48, key: 3072 },
  PS512: { hash: 'sha512', salt: 64, key: 4096 },
  ES256: { hash: 'sha256', key: 'prime256v1' },
  ES384: { hash: 'sha384', key: 'secp384r1' },
  ES512: { hash: 'sha512', key: 'secp521r1' },
};

/**
 * Checks what a Notation signature says (notaryproject.dev, signature-specification.md): a certificate for signing code that
 * leads to an authority made it, it is of this manifest, and it has not expired. Time stamps are not looked at: the
 * certificate has to be valid now.
 * @returns undefined when it holds, else why not as a sentence without full stop
 */
export function checkEnvelope(
  envelope: NotationEnvelope,
  subject: Digest,
  authorities: readonly X509Certificate[],
  now: Date,
): string | undefined {
  const { algorithm: name, critical, expiry, chain } = envelope;
  const [signer] = chain;
  if (!signer) return 'it carries no certificates';
  const algorithm =
    typeof name === 'string' && Object.hasOwn(algorithms, name) ? algorithms[name] : undefined;
  if (!algorithm) return `its algorithm is ${quote(name)}`;
  if (
    !Array.isArray(critical) ||
    !critical.includes(attributes.signingScheme) ||
    critical.includes(attributes.expiry) !== (expiry !== undefined) ||
    critical.some((item) => !understood.has(item))
  ) {
    return 'it has critical fields that are not understood';
  }
  if (envelope.signingScheme !== 'notary.x509' || envelope.contentType !== payloadType)
    return 'its signing scheme is not notary.x509';
  if (!holds(algorithm, signer.publicKey, envelope)) return 'its bytes were changed';
  if (signer.ca || !signer.keyUsage?.includes(codeSigning)) return 'its certificate is not for signing code';
  if (expiry && !(expiry > now)) return 'it has expired';
  if (!(envelope.signingTime && envelope.signingTime.getTime() >= 0))
    return 'it does not say when it was made';
  const wrong = checkChain(chain, authorities, now);
  if (wrong !== undefined) return wrong;
  const signed = signedDigest(envelope.payload);
  return signed === subject ? undefined : `it is a signature of ${signed ?? 'something else'}`;
}

function holds({ hash, salt, key: size }: Algorithm, key: KeyObject, envelope: NotationEnvelope): boolean {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  if ((salt === undefined ? namedCurve : modulusLength) !== size) return false;
  const options =
    salt === undefined
      ? { key, dsaEncoding: 'ieee-p1363' as const }
      : { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt };
  try {
    return verify(hash, envelope.signed, options, envelope.signature);
  } catch {
    // A key of another kind than the algorithm says.
    return false;
  }
}

function signedDigest(payload: Uint8Array): string | undefined {
  try {
    const document = JSON.parse(Buffer.from(payload).toString()) as {
      readonly targetArtifact?: { readonly digest?: unknown };
    } | null;
    const digest = document?.targetArtifact?.digest;
    return typeof digest === 'string' ? digest : undefined;
  } catch {
    return undefined;
  }
}
