import { Readable } from 'node:stream';
import { createSecureContext, getCACertificates } from 'node:tls';
import type { Dispatcher } from 'undici';
import { throwIfAborted, VarveError } from '../base/index.ts';
import { connectionFailure } from './failures.ts';
import { isLoopback } from './insecure.ts';

/** TLS settings for one host: own authorities, a client certificate (Docker's `certs.d`). */
export interface TlsOptions {
  /** Authorities in PEM, trusted besides the usual ones. */
  readonly ca?: readonly (string | Buffer)[];
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** HTTP proxies, as the variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY have them. Loopback is never asked through one. */
export interface ProxySettings {
  readonly http?: string;
  readonly https?: string;
  /** Hosts to be asked directly, joined by commas. */
  readonly none?: string;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | string;
  readonly signal?: AbortSignal | undefined;
  /** Certificates are not checked (Docker's insecure registries). */
  readonly insecure: boolean;
}

/** An HTTP answer whose body is still to be read, or to be discarded. */
export interface HttpAnswer {
  readonly status: number;
  readonly url: URL;
  /** Value of a header, several joined by commas. */
  header(name: string): string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads the body whole. @throws `too-large` over `limit` bytes. */
  read(limit: number): Promise<Buffer>;
  /** Gives the connection back. */
  discard(): Promise<void>;
}

const connectTimeout = 15_000;
/** Milliseconds of silence after which a server counts as gone, before its answer and between parts of it. */
const defaultSilence = 60_000;

async function* guarded(
  body: AsyncIterable<Uint8Array>,
  method: string,
  url: URL,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* body;
  } catch (error) {
    throwIfAborted(signal);
    throw connectionFailure(error, method, url);
  }
}

function toBody(body: Exclude<HttpRequest['body'], undefined>): string | Uint8Array | Readable {
  return typeof body === 'string' || body instanceof Uint8Array ? body : Readable.from(body);
}

function streams({ body }: HttpRequest): boolean {
  return typeof body === 'object' && !(body instanceof Uint8Array);
}

const unknownAuthority = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);

function isUnknownAuthority(error: unknown): boolean {
  const cause = VarveError.is(error) ? (error.cause as { readonly code?: unknown } | undefined) : undefined;
  return typeof cause?.code === 'string' && unknownAuthority.has(cause.code);
}

function toAnswer(data: Dispatcher.ResponseData, request: HttpRequest): HttpAnswer {
  const body = guarded(data.body, request.method, request.url, request.signal);
  return {
    status: data.statusCode,
    url: request.url,
    header: (name) => {
      const value = data.headers[name.toLowerCase()];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body,
    read: async (limit) => {
      const parts: Uint8Array[] = [];
      let size = 0;
      for await (const part of body) {
        size += part.byteLength;
        if (size > limit) {
          throw new VarveError(
            'too-large',
            'ANSWER_TOO_LARGE',
            `${request.url.host} sent more than ${limit} bytes`,
            {
              subject: request.url.href,
            },
          );
        }
        parts.push(part);
      }
      return Buffer.concat(parts);
    },
    discard: async () => {
      await data.body.dump({ limit: 64 * 1024 }).catch(() => undefined);
    },
  };
}

/** Sends single requests over kept connections. Follows no redirect and knows no credentials. */
export class Transport {
  readonly #tls: (host: string) => TlsOptions | undefined;
  readonly #userAgent: string;
  readonly #silence: number;
  readonly #proxy: ProxySettings | undefined;
  readonly #agents = new Map<string, Promise<Dispatcher>>();
  /**
   * Hosts whose certificate needs the system's store, where companies put their authorities: Node does not look there
   * by itself, and reading it takes a tenth of a second that most hosts need not cost.
   */
  readonly #systemTrust = new Set<string>();

  constructor(options: {
    readonly tls?: (host: string) => TlsOptions | undefined;
    readonly userAgent: string;
    readonly silence?: number;
    readonly proxy?: ProxySettings;
  }) {
    this.#proxy = options.proxy;
    this.#tls = options.tls ?? (() => undefined);
    this.#userAgent = options.userAgent;
    this.#silence = options.silence ?? defaultSilence;
  }

  /** @throws VarveError `unavailable` when there is no answer, `cancelled` when the signal fires. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await this.#try(request);
    } catch (error) {
      if (!isUnknownAuthority(error) || this.#systemTrust.has(request.url.host) || streams(request))
        throw error;
      this.#systemTrust.add(request.url.host);
      return await this.#try(request);
    }
  }

  async #try(request: HttpRequest): Promise<HttpAnswer> {
    throwIfAborted(request.signal);
    const { request: send } = await import('./http-library.ts');
    try {
      const data = await send(request.url, {
        dispatcher: await this.#agent(request),
        method: request.method,
        headers: { 'user-agent': this.#userAgent, 'accept-encoding': 'identity', ...request.headers },
        ...(request.body === undefined ? {} : { body: toBody(request.body) }),
        // undici counts a slow upload as a late answer; uploads are watched by their sender.
        headersTimeout: streams(request) ? 0 : this.#silence,
        bodyTimeout: this.#silence,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      return toAnswer(data, request);
    } catch (error) {
      throwIfAborted(request.signal);
      throw connectionFailure(error, request.method, request.url);
    }
  }

  /** Closes idle connections and cuts the others. */
  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.all(agents.map(async (agent) => (await agent.catch(() => undefined))?.destroy()));
  }

  #agent({ url, insecure }: HttpRequest): Promise<Dispatcher> {
    const tls = this.#tls(url.host);
    const proxy = isLoopback(url.host) ? undefined : this.#proxy;
    const system = this.#systemTrust.has(url.host);
    const key = JSON.stringify([tls === undefined ? '' : url.host, insecure, system, proxy === undefined]);
    let agent = this.#agents.get(key);
    if (!agent) {
      agent = makeAgent(tls, { insecure, system }, proxy);
      this.#agents.set(key, agent);
    }
    return agent;
  }
}

async function makeAgent(
  tls: TlsOptions | undefined,
  trust: { readonly insecure: boolean; readonly system: boolean },
  proxy: ProxySettings | undefined,
): Promise<Dispatcher> {
  const { Agent, EnvHttpProxyAgent } = await import('./http-library.ts');
  const { ca = [], ...client } = tls ?? {};
  const usual = trust.system || ca.length > 0 ? getCACertificates('default') : [];
  const authorities = [...new Set([...usual, ...(trust.system ? getCACertificates('system') : []), ...ca])];
  const connect = {
    timeout: connectTimeout,
    rejectUnauthorized: !trust.insecure,
    // Made once: reading some hundred certificates for each connection costs more than the connection.
    ...(authorities.length > 0
      ? { secureContext: createSecureContext({ ...client, ca: authorities }) }
      : client),
  };
  if (proxy === undefined) return new Agent({ connect });
  // Empty strings keep it from looking into the environment by itself.
  const { http = '', https = '', none = '' } = proxy;
  return new EnvHttpProxyAgent({
    httpProxy: http,
    httpsProxy: https,
    noProxy: none,
    connect,
    requestTls: connect,
  });
}
