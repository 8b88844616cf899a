import { VarveError } from '../base/index.ts';
import { abortable } from './abortable.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { Endpoint } from './endpoint.ts';
import { isLoopback } from './insecure.ts';
import { basicHeader, type Token, type TokenRealm, TokenService } from './token-service.ts';
import type { HttpAnswer, Transport } from './transport.ts';
import type { CredentialLookup, RegistryCredentials } from './types.ts';

/** What a request needs to be allowed to do: `repository:library/app:pull`. */
export type Scope = string;

type Mode =
  | { readonly scheme: 'none' }
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: TokenRealm };

const keptTokens = 200;

/**
 * Makes the `Authorization` header for one endpoint. Only challenges of the endpoint itself are listened to, never
 * those of a host it redirected to; a registry reached by https cannot send the credentials to a realm in clear.
 */
export class Authorizer {
  readonly #endpoint: Endpoint;
  readonly #lookup: CredentialLookup;
  readonly #allowsHttp: (host: string) => boolean;
  readonly #allowsRealm: (registry: string, realm: string) => boolean;
  readonly #service: TokenService;
  readonly #tokens = new Map<string, Promise<Token>>();
  #credentials: Promise<RegistryCredentials | undefined> | undefined;
  #mode: Mode = { scheme: 'none' };

  constructor(
    endpoint: Endpoint,
    transport: Transport,
    lookup: CredentialLookup,
    allowsHttp: (host: string) => boolean,
    allowsRealm: (registry: string, realm: string) => boolean = () => true,
  ) {
    this.#endpoint = endpoint;
    this.#lookup = lookup;
    this.#allowsHttp = allowsHttp;
    this.#allowsRealm = allowsRealm;
    this.#service = new TokenService(transport);
  }

  /** Learns from an answer 401 of the endpoint how it wants to be asked; false when it did not say. */
  learn(answer: HttpAnswer): boolean {
    if (answer.status !== 401) return false;
    const challenges = parseChallenges(answer.header('www-authenticate') ?? '');
    const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters['realm']);
    if (bearer) {
      this.#mode = { scheme: 'bearer', realm: this.#realm(bearer, answer.url) };
      return true;
    }
    if (!challenges.some(({ scheme }) => scheme === 'basic')) return false;
    this.#mode = { scheme: 'basic' };
    return true;
  }

  /** The header for a request of these scopes; undefined before a challenge came. */
  async header(scopes: readonly Scope[], signal?: AbortSignal): Promise<string | undefined> {
    const mode = this.#mode;
    if (mode.scheme === 'none') return undefined;
    const credentials = await this.#getCredentials();
    if (mode.scheme === 'basic') return basicHeader(credentials);
    if (credentials?.registryToken) return `Bearer ${credentials.registryToken}`;
    if (credentials) this.#checkRealm(mode.realm);
    return `Bearer ${(await this.#token(mode.realm, scopes, credentials, signal)).value}`;
  }

  /** Drops what is cached, after the registry refused it: tokens can be revoked, and credentials change. */
  forget(): void {
    this.#tokens.clear();
    this.#credentials = undefined;
  }

  #getCredentials(): Promise<RegistryCredentials | undefined> {
    this.#credentials ??= this.#lookup(this.#endpoint.host);
    return this.#credentials;
  }

  async #token(
    realm: TokenRealm,
    scopes: readonly Scope[],
    credentials: RegistryCredentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    const key = [realm.url.href, realm.service ?? '', ...scopes].join('\n');
    const kept = this.#tokens.get(key);
    if (kept) {
      const token = await abortable(kept, signal);
      if (performance.now() < token.expires) return token;
      if (this.#tokens.get(key) === kept) this.#tokens.delete(key);
    }
    // Another waiter may have asked meanwhile.
    return await abortable(this.#tokens.get(key) ?? this.#fetch(key, realm, scopes, credentials), signal);
  }

  /** Asks once for all who wait; a failure is not kept. */
  #fetch(
    key: string,
    realm: TokenRealm,
    scopes: readonly Scope[],
    credentials: RegistryCredentials | undefined,
  ): Promise<Token> {
    const insecure =
      (this.#endpoint.insecure && isLoopback(realm.url.host)) || this.#allowsHttp(realm.url.host);
    const fetched = this.#service.fetch(realm, scopes, credentials, { insecure });
    if (this.#tokens.size >= keptTokens) this.#tokens.clear();
    this.#tokens.set(key, fetched);
    fetched.catch(() => {
      if (this.#tokens.get(key) === fetched) this.#tokens.delete(key);
    });
    return fetched;
  }

  /** The registry's own host is where the credentials belong; another one only when the caller says so. */
  #checkRealm({ url }: TokenRealm): void {
    const { host } = this.#endpoint;
    if (url.host === host || this.#allowsRealm(host, url.host)) return;
    throw new VarveError(
      'unauthorized',
      'REALM_REFUSED',
      `${host} sends for tokens to ${url.host}, which may not see its credentials`,
      { subject: host },
    );
  }

  #realm(challenge: Challenge, from: URL): TokenRealm {
    const text = challenge.parameters['realm'] ?? '';
    const url = URL.parse(text, from.href);
    const refused = (why: string): VarveError =>
      new VarveError(
        'unauthorized',
        'REALM_REFUSED',
        `${from.host} sends for tokens to ${text.slice(0, 200)}: ${why}`,
        {
          subject: this.#endpoint.host,
        },
      );
    if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
      throw refused('not a web address');
    if (url.username !== '' || url.password !== '') throw refused('it holds credentials');
    const clear = url.protocol === 'http:';
    const trusted = this.#allowsHttp(url.host) || (isLoopback(url.host) && this.#endpoint.insecure);
    if (clear && !trusted) throw refused('credentials are not sent in clear');
    return { url, service: challenge.parameters['service'] };
  }
}
