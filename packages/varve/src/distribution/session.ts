import { throwIfAborted, VarveError } from '../base/index.ts';
import type { Authorizer, Scope } from './authorizer.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { Endpoint } from './endpoint.ts';
import { answerFailure, type FailureContext, printable, type RegistryFault } from './failures.ts';
import { type RetryPolicy, withRetry } from './retry.ts';
import type { HttpAnswer, HttpRequest, Transport } from './transport.ts';

const redirectLimit = 5;
const errorBodyLimit = 64 * 1024;
/** A `Retry-After` of more seconds is taken for this many. */
const longestRetryAfter = 3600;

/** One request to a registry. */
export interface RegistryRequest {
  readonly method: HttpRequest['method'];
  /** Path below the root (`/v2/…`), or the absolute address a `Location` gave. */
  readonly target: string | URL;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes, or a function that starts the stream anew for each try. */
  readonly body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
  readonly scopes: readonly Scope[];
  /** Answers that are not failures. */
  readonly accept: readonly number[];
  readonly context: FailureContext;
  readonly signal?: AbortSignal | undefined;
  /** Set to false where the caller repeats by itself. */
  readonly retry?: boolean;
}

/** Seconds a `Retry-After` asks for (RFC 9110 section 10.2.3): a number or a date. */
export function parseRetryAfter(text: string | undefined, now = Date.now()): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Math.min(Number(text), longestRetryAfter);
  const date = Date.parse(text);
  return Number.isNaN(date)
    ? undefined
    : Math.min(Math.max(Math.ceil((date - now) / 1000), 0), longestRetryAfter);
}

/** What a Bearer challenge says of the token it got (RFC 6750 section 3); it counts before the body, as in Docker. */
function bearerFault(challenges: readonly Challenge[]): RegistryFault | undefined {
  const { error, error_description: description } =
    challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters['error'])?.parameters ?? {};
  if (error === 'insufficient_scope') {
    return {
      code: 'DENIED',
      message: printable(description ?? 'requested access to the resource is denied'),
    };
  }
  if (error === 'invalid_token') {
    return { code: 'UNAUTHORIZED', message: printable(description ?? 'authentication required') };
  }
  return undefined;
}

/** Requests to one endpoint: scheme, authorization, redirects, retries and errors are settled here. */
export class RegistrySession {
  readonly endpoint: Endpoint;
  readonly #transport: Transport;
  readonly #authorizer: Authorizer;
  readonly #retry: RetryPolicy;

  constructor(endpoint: Endpoint, transport: Transport, authorizer: Authorizer, retry: RetryPolicy) {
    this.endpoint = endpoint;
    this.#transport = transport;
    this.#authorizer = authorizer;
    this.#retry = retry;
  }

  /** @returns an answer whose status is in `accept`. @throws VarveError for any other. */
  async request(request: RegistryRequest): Promise<HttpAnswer> {
    if (request.retry === false) return await this.#once(request);
    return await withRetry(this.#retry, request.signal, () => this.#once(request));
  }

  /** A request and its whole body, both repeated when either fails. @throws VarveError `too-large` over `limit` bytes. */
  async fetch(
    request: RegistryRequest,
    limit: number,
  ): Promise<{ readonly answer: HttpAnswer; readonly bytes: Buffer }> {
    return await withRetry(this.#retry, request.signal, async () => {
      const answer = await this.#once(request);
      return { answer, bytes: await answer.read(limit) };
    });
  }

  /** The absolute address of a `Location` header. @throws VarveError when there is none or it is no web address. */
  location(answer: HttpAnswer): URL {
    const text = answer.header('location');
    const url = text === undefined ? null : URL.parse(text, answer.url.href);
    if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
      throw this.#broken(`it sent ${text === undefined ? 'no' : 'a wrong'} location`);
    }
    if (url.protocol === 'http:' && answer.url.protocol === 'https:') {
      // A registry behind a proxy that ends TLS often names itself by http: the same host keeps https.
      if (url.hostname !== answer.url.hostname) throw this.#broken('it sends from https to http');
      url.protocol = 'https:';
      url.port = answer.url.port;
    }
    return url;
  }

  async #once(request: RegistryRequest): Promise<HttpAnswer> {
    const base = await this.#base(request.signal);
    const url = new URL(request.target, base);
    for (const [name, value] of Object.entries(request.query ?? {})) url.searchParams.set(name, value);
    const own = url.origin === base.origin;
    const used = await this.#authorization(request, own);
    let answer = await this.#send(request, url, used);
    if (answer.status === 401 && own && this.#authorizer.learn(answer)) {
      await answer.discard();
      if (used !== undefined) this.#authorizer.forget();
      answer = await this.#send(request, url, await this.#authorization(request, own));
    }
    answer = await this.#follow(request, answer);
    if (request.accept.includes(answer.status)) return answer;
    throw await this.#failure(request, answer);
  }

  async #base(signal: AbortSignal | undefined): Promise<URL> {
    try {
      return await this.endpoint.base(
        this.#transport,
        (answer) => void this.#authorizer.learn(answer),
        signal,
      );
    } catch (error) {
      throwIfAborted(signal);
      throw VarveError.from(error);
    }
  }

  /** @param own tells that the address is the endpoint's: no other host sees its credentials. */
  async #authorization(request: RegistryRequest, own: boolean): Promise<string | undefined> {
    return own ? await this.#authorizer.header(request.scopes, request.signal) : undefined;
  }

  async #send(request: RegistryRequest, url: URL, authorization: string | undefined): Promise<HttpAnswer> {
    const { body } = request;
    try {
      return await this.#transport.send({
        method: request.method,
        url,
        headers: { ...request.headers, ...(authorization === undefined ? {} : { authorization }) },
        ...(body === undefined ? {} : { body: typeof body === 'function' ? body() : body }),
        signal: request.signal,
        insecure: this.endpoint.insecure,
      });
    } catch (error) {
      if (VarveError.is(error)) this.endpoint.distrust(error);
      throw error;
    }
  }

  async #follow(request: RegistryRequest, first: HttpAnswer): Promise<HttpAnswer> {
    let answer = first;
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer;
    for (let count = 0; [301, 302, 303, 307, 308].includes(answer.status); count++) {
      if (count === redirectLimit) throw this.#broken('too many redirects');
      const url = this.location(answer);
      await answer.discard();
      const own = url.origin === (await this.#base(request.signal)).origin;
      answer = await this.#send(request, url, await this.#authorization(request, own));
    }
    return answer;
  }

  async #failure(request: RegistryRequest, answer: HttpAnswer): Promise<VarveError> {
    const challenges = parseChallenges(answer.header('www-authenticate') ?? '');
    const body = await answer.read(errorBodyLimit).catch(() => Buffer.alloc(0));
    const basic = answer.status === 401 && challenges.some(({ scheme }) => scheme === 'basic');
    if (basic && (await this.#authorizer.header([], request.signal)) === undefined) {
      const verb = request.method.charAt(0) + request.method.slice(1).toLowerCase();
      const message = `${verb} "${answer.url.origin}${answer.url.pathname}": no basic auth credentials`;
      const hint = 'log in to this registry with `varve login`';
      return new VarveError('unauthorized', 'UNAUTHORIZED', message, {
        subject: this.endpoint.host,
        hint,
        data: { status: 401 },
      });
    }
    const retryAfter = parseRetryAfter(answer.header('retry-after'));
    const fault = bearerFault(challenges);
    return answerFailure(
      { status: answer.status, body, retryAfter, ...(fault ? { fault } : {}) },
      request.context,
    );
  }

  #broken(why: string): VarveError {
    return new VarveError(
      'unavailable',
      'REGISTRY_BROKEN',
      `${this.endpoint.host} answers against the rules: ${why}`,
      {
        subject: this.endpoint.host,
      },
    );
  }
}
