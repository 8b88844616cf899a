import { randomUUID } from 'node:crypto';
import { type JWTPayload, SignJWT } from 'jose';
import type { Identity, IdentityKind, Proof } from './access-control.ts';
import { type AccessEntry, readAccessClaim } from './scopes.ts';
import type { SigningKeys } from './signing-keys.ts';
import { TokenError } from './token-error.ts';
import { verifyJwt } from './verify-jwt.ts';

/** Settings of the embedded token server; times in seconds. */
export interface EmbeddedTokensOptions {
  readonly issuer: string;
  readonly service: string;
  readonly lifetime: number;
  readonly refreshLifetime: number;
}

/** Who a token was given to. */
export interface TokenHolder {
  readonly kind: IdentityKind;
  readonly name: string;
  readonly groups: readonly string[];
  readonly via: Proof;
}

/** What a refresh token says: whose it is, and what must not have changed since. */
export interface RefreshToken extends TokenHolder {
  /** Of the password or secret that it was given for. */
  readonly fingerprint: string;
}

const kinds: readonly unknown[] = ['anonymous', 'user', 'robot', 'workload'];
const proofs: readonly unknown[] = ['none', 'htpasswd', 'robot', 'oidc', 'certificate'];

/**
 * Signs and verifies the tokens of the embedded token server. Access tokens are those of Docker's token spec
 * (https://distribution.github.io/distribution/spec/auth/jwt/) and say in `varve` how their holder was known. Refresh
 * tokens have another audience and type: neither is ever taken for the other.
 */
export class EmbeddedTokens {
  readonly keys: SigningKeys;
  readonly options: EmbeddedTokensOptions;

  constructor(keys: SigningKeys, options: EmbeddedTokensOptions) {
    this.keys = keys;
    this.options = options;
  }

  /** An access token. */
  issue(holder: TokenHolder, access: readonly AccessEntry[], now = Date.now()): Promise<string> {
    const { service, lifetime } = this.options;
    return this.#sign(holder, { access }, { typ: 'JWT', audience: service, lifetime, now });
  }

  /** @param options.lifetime in seconds */
  issueRefresh(
    holder: RefreshToken,
    options: { readonly now: number; readonly lifetime: number },
  ): Promise<string> {
    const { fingerprint } = holder;
    return this.#sign(holder, { fingerprint }, { ...this.#refresh, ...options });
  }

  /** @throws TokenError */
  async verify(token: string): Promise<{
    readonly identity: Identity;
    /** Seconds since 1970. */
    readonly expires: number;
  }> {
    const payload = await this.#verify(token, { typ: 'JWT', audience: this.options.service });
    const access = readAccessClaim(payload['access']);
    if (!access) throw new TokenError('the access claim is malformed');
    return {
      identity: { ...readHolder(payload), token: { access, issuer: 'embedded' } },
      expires: payload.exp ?? 0,
    };
  }

  /** @throws TokenError */
  async verifyRefresh(token: string): Promise<RefreshToken> {
    const payload = await this.#verify(token, this.#refresh);
    const { fingerprint } = payload;
    if (typeof fingerprint !== 'string') throw new TokenError('the token is malformed');
    return { ...readHolder(payload), fingerprint };
  }

  get #refresh(): { readonly typ: string; readonly audience: string } {
    return { typ: 'refresh+jwt', audience: `${this.options.issuer}#refresh` };
  }

  async #sign(
    { kind, name, groups, via }: TokenHolder,
    claims: JWTPayload,
    options: {
      readonly typ: string;
      readonly audience: string;
      readonly lifetime: number;
      readonly now: number;
    },
  ): Promise<string> {
    const { id, privateKey } = this.keys.current();
    const seconds = Math.floor(options.now / 1000);
    return await new SignJWT({ ...claims, varve: { kind, via, groups } })
      .setProtectedHeader({ alg: 'ES256', typ: options.typ, kid: id })
      .setIssuer(this.options.issuer)
      .setSubject(name)
      .setAudience(options.audience)
      .setIssuedAt(seconds)
      .setNotBefore(seconds)
      .setExpirationTime(seconds + options.lifetime)
      .setJti(randomUUID())
      .sign(privateKey);
  }

  #verify(token: string, expected: { readonly typ: string; readonly audience: string }): Promise<JWTPayload> {
    return verifyJwt(token, {
      algorithms: ['ES256'],
      issuer: this.options.issuer,
      audience: [expected.audience],
      typ: expected.typ,
      keys: ({ kid }) => {
        const key = this.keys.find(kid);
        return key ? [key] : [];
      },
    });
  }
}

function readHolder(payload: JWTPayload): TokenHolder {
  const { kind, via, groups } = (payload['varve'] ?? {}) as { readonly [key: string]: unknown };
  if (!kinds.includes(kind) || !proofs.includes(via) || !Array.isArray(groups)) {
    throw new TokenError('the token is malformed');
  }
  return {
    kind: kind as IdentityKind,
    name: payload.sub ?? '',
    groups: groups as string[],
    via: via as Proof,
  };
}
