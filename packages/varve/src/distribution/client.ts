import { VarveError } from '../base/index.ts';
import { parseReference, type Reference } from '../oci/index.ts';
import { Authorizer } from './authorizer.ts';
import { Endpoint } from './endpoint.ts';
import { insecureHosts } from './insecure.ts';
import { HttpRepository } from './repository.ts';
import { defaultRetry, type RetryPolicy } from './retry.ts';
import { RegistrySession } from './session.ts';
import { type ProxySettings, type TlsOptions, Transport } from './transport.ts';
import type { CredentialLookup, RegistryCredentials, RemoteRepository, RequestOptions } from './types.ts';

export interface RegistryClientOptions {
  readonly credentials?: CredentialLookup;
  /** Hosts (`host:port`) and networks (`10.0.0.0/8`) where plain HTTP and unchecked certificates are fine, as loopback always is. */
  readonly insecureRegistries?: readonly string[];
  /** Addresses (`https://mirror:5000`) asked before docker.io when reading. */
  readonly mirrors?: readonly string[];
  readonly userAgent?: string;
  /** Own authorities or a client certificate for a host, as Docker's `certs.d`. */
  readonly tls?: (host: string) => TlsOptions | undefined;
  readonly proxy?: ProxySettings;
  readonly retry?: Partial<RetryPolicy>;
  /**
   * Whether the credentials of a registry may go to a token server at another host, which the registry names. Docker's
   * clients let them, and so does this one when it is absent; who acts for others should not.
   */
  readonly realms?: (registry: string, realm: string) => boolean;
  /** Milliseconds of silence after which a registry counts as gone (default a minute). */
  readonly silence?: number;
}

/** Docker's rules for `registry-mirrors`: an address of a host and nothing below it. */
function parseMirror(text: string): URL {
  const url = URL.parse(text);
  const plain =
    url !== null && (url.pathname === '/' || url.pathname === '') && url.search === '' && url.hash === '';
  if (plain && /^https?:$/.test(url.protocol) && url.username === '') return url;
  throw new VarveError('invalid', 'MIRROR_INVALID', `invalid mirror: "${text}"`, { subject: text });
}

/**
 * A client of OCI registries. Connections, tokens and the scheme of each host are kept between requests; one client
 * serves the whole process. Loads its HTTP library with the first request.
 */
export class RegistryClient implements AsyncDisposable {
  readonly #credentials: CredentialLookup;
  readonly #insecure: (host: string) => boolean;
  readonly #mirrors: readonly URL[];
  readonly #retry: RetryPolicy;
  readonly #realms: RegistryClientOptions['realms'];
  readonly #transport: Transport;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #sessions = new Map<Endpoint, RegistrySession>();

  /** @throws VarveError `invalid` for a wrong mirror or insecure registry. */
  constructor(options: RegistryClientOptions = {}) {
    this.#credentials = options.credentials ?? (async () => undefined);
    this.#insecure = insecureHosts(options.insecureRegistries ?? []);
    this.#mirrors = (options.mirrors ?? []).map(parseMirror);
    this.#retry = { ...defaultRetry, ...options.retry };
    this.#realms = options.realms;
    this.#transport = new Transport({
      userAgent: options.userAgent ?? 'varve',
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
      ...(options.silence === undefined ? {} : { silence: options.silence }),
    });
  }

  /**
   * One repository of one registry; tag and digest of the reference are not looked at. Asks nothing yet.
   * @param credentials for this repository alone, in place of the look-up.
   * @throws VarveError `invalid` for text that is no reference.
   */
  repository(reference: Reference | string, credentials?: RegistryCredentials): RemoteRepository {
    const { domain, path } = typeof reference === 'string' ? parseReference(reference) : reference;
    const mirrors = domain === 'docker.io' ? this.#mirrors : [];
    const origin = this.#session(this.#endpoint(domain), credentials);
    const sessions = mirrors.map((url) => this.#session(this.#endpoint(url.host, url), undefined));
    return new HttpRepository({ domain, path }, origin, sessions, this.#retry);
  }

  /**
   * Tries credentials on a registry's `/v2/`, as `docker login` does.
   * @throws VarveError `unauthorized` when they are refused.
   */
  async login(host: string, credentials: RegistryCredentials, options: RequestOptions = {}): Promise<void> {
    const session = this.#session(this.#endpoint(host), credentials);
    const answer = await session.request({
      method: 'GET',
      target: '/v2/',
      scopes: [],
      context: { action: 'push', name: host },
      accept: [200],
      signal: options.signal,
    });
    await answer.discard();
  }

  /** Cuts all connections. */
  async close(): Promise<void> {
    this.#sessions.clear();
    await this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #endpoint(host: string, url?: URL): Endpoint {
    const key = url?.origin ?? host;
    let endpoint = this.#endpoints.get(key);
    if (!endpoint) {
      const insecure = this.#insecure(host);
      endpoint = new Endpoint(host, { insecure, ...(url === undefined ? {} : { url }) });
      this.#endpoints.set(key, endpoint);
    }
    return endpoint;
  }

  /** Sessions with the common credentials are shared; one with its own credentials is its caller's alone. */
  #session(endpoint: Endpoint, own: RegistryCredentials | undefined): RegistrySession {
    const kept = own === undefined ? this.#sessions.get(endpoint) : undefined;
    if (kept) return kept;
    const lookup: CredentialLookup = own === undefined ? this.#credentials : async () => own;
    const authorizer = new Authorizer(endpoint, this.#transport, lookup, this.#insecure, this.#realms);
    const session = new RegistrySession(endpoint, this.#transport, authorizer, this.#retry);
    if (own === undefined) this.#sessions.set(endpoint, session);
    return session;
  }
}
