import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { VarveError } from '../../base/index.ts';

const certificatePattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Longer chains are nobody's. */
const maxChain = 8;

/** Reads public keys or certificates of PEM files, as their keys. @throws VarveError `invalid` (`TRUST_KEY_INVALID`) */
export function readPublicKeys(paths: readonly string[]): KeyObject[] {
  return paths.map((path) => fromFile(path, (pem) => createPublicKey(pem)));
}

/** Reads all certificates of PEM files. @throws VarveError `invalid` (`TRUST_KEY_INVALID`) */
export function readCertificates(paths: readonly string[]): X509Certificate[] {
  return paths.flatMap((path) =>
    fromFile(path, (pem) => {
      const found = pem.match(certificatePattern) ?? [];
      if (found.length === 0) throw new Error('there is no certificate in it');
      return found.map((item) => new X509Certificate(item));
    }),
  );
}

function fromFile<T>(path: string, read: (pem: string) => T): T {
  try {
    return read(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new VarveError(
      'invalid',
      'TRUST_KEY_INVALID',
      `cannot use ${path} to check signatures: ${(error as Error).message}`,
      { subject: path, cause: error },
    );
  }
}

/**
 * Reads the certificates of a signature.
 * @param encoded in DER
 * @returns undefined when one of them is none, or has a key that cannot be read
 */
export function readChain(encoded: readonly Uint8Array[]): X509Certificate[] | undefined {
  if (encoded.length === 0 || encoded.length > maxChain) return undefined;
  try {
    const chain = encoded.map((der) => new X509Certificate(der));
    // The key is decoded when it is asked for, and throws only then.
    return chain.every(({ publicKey }) => publicKey.type === 'public') ? chain : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a chain of {@link readChain}, the signer's certificate first, leads to an authority and was valid at an instant.
 * @returns undefined when it does, else why not
 */
export function checkChain(
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
  at: Date,
): string | undefined {
  for (const [index, certificate] of chain.entries()) {
    if (at < new Date(certificate.validFrom) || at > new Date(certificate.validTo)) {
      return `the certificate of ${nameOf(certificate)} was not valid then`;
    }
    if (index > 0 && !certificate.ca) return `${nameOf(certificate)} may not issue certificates`;
    const self = authorities.find((authority) => authority.fingerprint256 === certificate.fingerprint256);
    if (self) return undefined;
    const issuer = authorities.find((authority) => issued(authority, certificate));
    if (issuer) return undefined;
    const next = chain[index + 1];
    if (!next || !issued(next, certificate)) break;
  }
  return 'its certificate leads to no trusted authority';
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function nameOf(certificate: X509Certificate): string {
  // An empty name is undefined, whatever the types say.
  const { subject } = certificate as { readonly subject: string | undefined };
  return subject?.replaceAll('\n', ', ') ?? 'nobody';
}
