import type { KeyObject } from 'node:crypto';
import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from 'jose';
import { TokenError } from './token-error.ts';
import { fitsAlgorithm } from './trusted-keys.ts';

// A token comes in a header, which node bounds to 32 KiB here.
const maxTokenLength = 24 * 1024;
/** Clocks differ; docker/distribution's Leeway. */
export const leewaySeconds = 60;

export interface JwtExpectation {
  readonly algorithms: readonly string[];
  readonly issuer: string;
  /** One of these has to be in `aud`. */
  readonly audience: readonly string[];
  readonly typ?: string;
  /** The keys that may have signed a token of this header; none refuses it. */
  readonly keys: (header: ProtectedHeaderParameters) => readonly KeyObject[] | Promise<readonly KeyObject[]>;
}

/**
 * Checks signature, issuer, audience and times of a JWT (RFC 7519), in this order of trust: nothing of the token but
 * its algorithm, which has to be an allowed one, and the name of its key is looked at before the signature is.
 * @throws TokenError
 */
export async function verifyJwt(token: string, expected: JwtExpectation): Promise<JWTPayload> {
  if (token.length > maxTokenLength) throw new TokenError('the token is too long');
  const header = readHeader(token);
  const { alg } = header;
  if (typeof alg !== 'string' || !expected.algorithms.includes(alg)) {
    throw new TokenError(`the token is signed with ${printable(alg)}, which is not allowed`);
  }
  const keys = (await expected.keys(header)).filter((key) => fitsAlgorithm(key, alg));
  for (const key of keys) {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [alg],
        issuer: expected.issuer,
        audience: [...expected.audience],
        clockTolerance: leewaySeconds,
        requiredClaims: ['exp'],
        ...(expected.typ === undefined ? {} : { typ: expected.typ }),
      });
      return payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw refused(error);
    }
  }
  throw new TokenError(
    keys.length === 0 ? 'no trusted key has the name of the token’s' : 'the signature is wrong',
  );
}

/** The payload before anything is checked, to find who should check it; undefined for what is no JWT. */
export function peekIssuer(token: string): string | undefined {
  const parts = token.split('.');
  if (parts.length !== 3 || token.length > maxTokenLength) return undefined;
  try {
    const { iss } = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString()) as { iss?: unknown };
    return typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}

function readHeader(token: string): ProtectedHeaderParameters {
  try {
    return decodeProtectedHeader(token);
  } catch (error) {
    throw new TokenError('not a signed token', { cause: error });
  }
}

function refused(error: unknown): TokenError {
  if (error instanceof errors.JWTExpired) return new TokenError('the token has expired', { cause: error });
  if (error instanceof errors.JWTClaimValidationFailed) {
    const said: Readonly<Record<string, string>> = {
      iss: 'the token is of another issuer',
      aud: 'the token is for another service',
      nbf: 'the token is not yet valid',
      exp: 'the token has no end',
      typ: 'the token is of another type',
    };
    const text = said[error.claim] ?? `the claim ${printable(error.claim)} is wrong`;
    return new TokenError(text, { cause: error });
  }
  return new TokenError('the token is malformed', { cause: error });
}

function printable(value: unknown): string {
  return typeof value === 'string' && /^[\w.-]{1,40}$/.test(value) ? value : 'something';
}
