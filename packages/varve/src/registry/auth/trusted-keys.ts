import { createHash, createPublicKey, type JsonWebKey, type KeyObject, X509Certificate } from 'node:crypto';
import { VarveError } from '../../base/index.ts';

/** A public key that signs tokens we believe, under the names a token's `kid` may have for it. */
export interface TrustedKey {
  readonly key: KeyObject;
  readonly ids: readonly string[];
  /** The only algorithm it is for, when its JWK says so. */
  readonly algorithm?: string;
}

const minRsaBits = 2048;
const curves: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

/** Whether a key can be one of an algorithm's (RFC 7518 section 3.1, RFC 8037); RSA keys below 2048 bits never are. */
export function fitsAlgorithm(key: KeyObject, algorithm: string): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (algorithm === 'EdDSA') return type === 'ed25519' || type === 'ed448';
  const curve = curves[algorithm];
  if (curve !== undefined) return type === 'ec' && details?.namedCurve === curve;
  return (
    /^[RP]S(256|384|512)$/.test(algorithm) && type === 'rsa' && (details?.modulusLength ?? 0) >= minRsaBits
  );
}

/**
 * The key id of docker's libtrust: 240 bits of the sha256 of the DER public key, in base32, in twelve groups of four.
 * docker/distribution's token spec: https://distribution.github.io/distribution/spec/auth/jwt/
 */
export function libtrustFingerprint(key: KeyObject): string {
  const der = key.export({ type: 'spki', format: 'der' });
  const bytes = createHash('sha256').update(der).digest().subarray(0, 30);
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const text = (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join('');
  return (text.match(/.{4}/g) ?? []).join(':');
}

/** RFC 7638. */
export function jwkThumbprint(key: KeyObject): string {
  const jwk = key.export({ format: 'jwk' });
  const members = Object.entries({ crv: jwk.crv, e: jwk.e, kty: jwk.kty, n: jwk.n, x: jwk.x, y: jwk.y });
  const required = Object.fromEntries(members.filter(([, value]) => value !== undefined));
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url');
}

function trusted(
  key: KeyObject,
  extra: { readonly id?: string; readonly algorithm?: string } = {},
): TrustedKey {
  const ids = [libtrustFingerprint(key), jwkThumbprint(key)];
  if (extra.id !== undefined) ids.unshift(extra.id);
  return { key, ids, ...(extra.algorithm === undefined ? {} : { algorithm: extra.algorithm }) };
}

/** Public keys of a PEM file (`PUBLIC KEY`, `RSA PUBLIC KEY`). @throws VarveError `invalid` (`KEY_INVALID`) */
export function keysOfPem(text: string, path: string): TrustedKey[] {
  const blocks =
    text.match(/-----BEGIN (?:RSA )?PUBLIC KEY-----[\s\S]+?-----END (?:RSA )?PUBLIC KEY-----/g) ?? [];
  if (blocks.length === 0) throw unusable(path, 'no PEM block PUBLIC KEY');
  return blocks.map((block) => {
    try {
      return trusted(createPublicKey(block));
    } catch (error) {
      throw unusable(path, (error as Error).message);
    }
  });
}

/** Certificates of a PEM bundle. @throws VarveError `invalid` (`KEY_INVALID`) */
export function certificatesOfPem(text: string, path: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw unusable(path, 'no PEM block CERTIFICATE');
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw unusable(path, (error as Error).message);
    }
  });
}

/** The keys of certificates, for tokens that name one by its id. */
export function keysOfCertificates(certificates: readonly X509Certificate[]): TrustedKey[] {
  return certificates.map(({ publicKey }) => trusted(publicKey));
}

const maxKeys = 100;

/**
 * The signing keys of a JWK set (RFC 7517); what cannot be one (an encryption key, an unknown or symmetric type) is
 * left out.
 */
export function keysOfJwks(value: unknown): TrustedKey[] {
  const keys = (value as { readonly keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw new VarveError('invalid', 'KEY_INVALID', 'not a JWK set');
  const found: TrustedKey[] = [];
  for (const jwk of keys.slice(0, maxKeys) as unknown[]) {
    if (typeof jwk !== 'object' || jwk === null) continue;
    const { kid, alg, use, kty } = jwk as { readonly [key: string]: unknown };
    if ((use !== undefined && use !== 'sig') || kty === 'oct' || Object.hasOwn(jwk, 'd')) continue;
    try {
      const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
      found.push(
        trusted(key, {
          ...(typeof kid === 'string' ? { id: kid } : {}),
          ...(typeof alg === 'string' ? { algorithm: alg } : {}),
        }),
      );
    } catch {
      // A type of key that this system does not know is of no use, and no reason to refuse the others.
    }
  }
  return found;
}

function unusable(path: string, why: string): VarveError {
  return new VarveError('invalid', 'KEY_INVALID', `cannot use ${path}: ${why}`, { subject: path });
}
