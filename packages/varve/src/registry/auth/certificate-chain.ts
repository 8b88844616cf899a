import { X509Certificate } from 'node:crypto';
import { TokenError } from './token-error.ts';

const maxChain = 8;
const maxCertificateLength = 16 * 1024;

/**
 * Follows a token's `x5c` (RFC 7515 section 4.1.6) to a trusted certificate and returns the certificate that signed
 * the token. Every certificate on the way is in its time, and every issuer is an authority.
 * @throws TokenError
 */
export function verifyChain(
  x5c: unknown,
  roots: readonly X509Certificate[],
  now = Date.now(),
): X509Certificate {
  if (!Array.isArray(x5c) || x5c.length === 0 || x5c.length > maxChain) {
    throw new TokenError('x5c is not a chain of certificates');
  }
  const chain = (x5c as unknown[]).map(readCertificate);
  const [leaf] = chain as [X509Certificate];
  let current = leaf;
  const unused = new Set(chain.slice(1));
  for (let step = 0; step < maxChain; step++) {
    checkTime(current, now);
    const certificate = current;
    if (roots.some(({ fingerprint256 }) => fingerprint256 === certificate.fingerprint256)) return leaf;
    const root = roots.find((candidate) => issued(candidate, certificate));
    if (root) {
      checkTime(root, now);
      return leaf;
    }
    const next = [...unused].find((candidate) => issued(candidate, certificate));
    if (!next) break;
    unused.delete(next);
    current = next;
  }
  throw new TokenError('the certificate of the token does not lead to a trusted one');
}

function readCertificate(text: unknown): X509Certificate {
  if (typeof text !== 'string' || text.length > maxCertificateLength)
    throw new TokenError('x5c is malformed');
  try {
    return new X509Certificate(Buffer.from(text, 'base64'));
  } catch (error) {
    throw new TokenError('x5c holds something that is no certificate', { cause: error });
  }
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  try {
    return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // Keys of different kinds cannot have signed each other.
    return false;
  }
}

function checkTime(certificate: X509Certificate, now: number): void {
  if (now < certificate.validFromDate.getTime()) throw new TokenError('a certificate is not yet valid');
  if (now > certificate.validToDate.getTime()) throw new TokenError('a certificate has expired');
}
