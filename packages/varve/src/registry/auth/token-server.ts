import type { AccessRequest, Identity } from './access-control.ts';
import type { ConfiguredAccess } from './configured-access.ts';
import { narrow } from './decide.ts';
import type { EmbeddedTokens } from './embedded-tokens.ts';
import { type AccessEntry, formatScope } from './scopes.ts';
import { TokenError } from './token-error.ts';

/** An answer of the token endpoint, as Docker's token and OAuth2 specs name its members. */
export interface TokenAnswer {
  readonly token: string;
  readonly access_token: string;
  readonly token_type: 'Bearer';
  readonly expires_in: number;
  /** RFC 3339. */
  readonly issued_at: string;
  readonly scope: string;
  readonly refresh_token?: string;
}

// What an outside provider vouched for is asked of it again after this time, in seconds.
const maxPersonSession = 12 * 3600;
const maxWorkloadSession = 3600;

/**
 * The token server of this registry: Docker's token protocol
 * (https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/). A token has what its holder may do of
 * what was asked; asking for more is no error.
 */
export class TokenServer {
  readonly #access: ConfiguredAccess;
  readonly #tokens: EmbeddedTokens;

  constructor(access: ConfiguredAccess, tokens: EmbeddedTokens) {
    this.#access = access;
    this.#tokens = tokens;
  }

  get service(): string {
    return this.#tokens.options.service;
  }

  /** The public keys, RFC 7517. */
  jwks(): object {
    return this.#tokens.keys.jwks();
  }

  /**
   * A token for an identity whose credentials were right, or for nobody.
   * @param options.offline with a refresh token, for who has credentials
   */
  async grant(
    identity: Identity,
    asked: readonly AccessEntry[],
    options: { readonly offline: boolean },
  ): Promise<TokenAnswer> {
    const now = Date.now();
    const { token: _, ...holder } = identity;
    const access = narrow(this.#access.rules, holder, asked);
    const token = await this.#tokens.issue(identity, access, now);
    this.#access.auditToken(identity, asked, access);
    const offline = options.offline && identity.kind !== 'anonymous';
    return {
      token,
      access_token: token,
      token_type: 'Bearer',
      expires_in: this.#tokens.options.lifetime,
      issued_at: new Date(now).toISOString(),
      scope: access.map(formatScope).join(' '),
      ...(offline ? { refresh_token: await this.#refreshToken(identity, now) } : {}),
    };
  }

  /** Who a name and a password are; an identity with a refusal when they are wrong. */
  async identifyPassword(user: string, password: string, request: AccessRequest): Promise<Identity> {
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    return await this.#access.identify({ ...request, headers: { ...request.headers, authorization } });
  }

  /** Who a refresh token is; an identity with a refusal when it is not good any more. */
  async identifyRefresh(token: string): Promise<Identity> {
    try {
      const { fingerprint, ...holder } = await this.#tokens.verifyRefresh(token);
      return await this.#access.identifyHolder(holder, fingerprint === '' ? undefined : fingerprint);
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      return {
        kind: 'anonymous',
        name: '',
        groups: [],
        via: 'none',
        refusal: { reason: error.message, scheme: 'bearer' },
      };
    }
  }

  async #refreshToken(identity: Identity, now: number): Promise<string> {
    const fingerprint = await this.#access.fingerprint(identity);
    const { kind, name, groups, via } = identity;
    const longest =
      via !== 'oidc' ? Number.POSITIVE_INFINITY : kind === 'user' ? maxPersonSession : maxWorkloadSession;
    const lifetime = Math.min(this.#tokens.options.refreshLifetime, longest);
    return await this.#tokens.issueRefresh({ kind, name, groups, via, fingerprint }, { now, lifetime });
  }
}
