import { Agent, type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { EngineError } from './errors.ts';

/** Values of a query: undefined ones are left out, lists repeat the name, objects are JSON. */
export type Query = Readonly<
  Record<string, string | number | boolean | undefined | readonly string[] | object>
>;

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
  /** Without version: `/containers/json`. */
  readonly path: string;
  readonly query?: Query | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is, chunked. */
  readonly body?: Readable | Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Answers that are no error besides 2xx, e.g. 304. */
  readonly accept?: readonly number[];
}

/** Output of a body is bounded: an error message or a JSON document, never a stream. */
const documentLimit = 64 << 20;

/** Where an engine listens. */
export type Address = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/**
 * Reads `unix:///path`, `tcp://host:port` or `http://host:port`.
 * @throws EngineError for another form.
 */
export function parseAddress(host: string): Address {
  if (host.startsWith('unix://')) return { socketPath: host.slice(7) };
  const match = /^(?:tcp|http):\/\/(\[[^\]]+\]|[^:/]+)(?::(\d+))?\/?$/.exec(host);
  if (!match) throw new EngineError(0, `unable to parse docker host \`${host}\``, 'connect');
  return { host: (match[1] as string).replace(/^\[|\]$/g, ''), port: Number(match[2] ?? 2375) };
}

/** Requests to one engine over one address; keeps connections open between calls. */
export class Transport {
  readonly address: Address;
  readonly #shown: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #prefix: () => Promise<string>;

  /** @param prefix gives `/v1.51`, asked at the first versioned call. */
  constructor(host: string, prefix: () => Promise<string>) {
    this.address = parseAddress(host);
    this.#shown = host;
    this.#prefix = prefix;
  }

  /** Performs a call and gives the open answer. @throws EngineError for other statuses than 2xx and those accepted. */
  async open(call: Call, options: { readonly versioned?: boolean } = {}): Promise<IncomingMessage> {
    const path = await this.#path(call, options.versioned !== false);
    const body = bodyOf(call);
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest(this.#options(call, path, body), resolve);
      request.on('error', (error) => reject(this.#unreachable(error, call)));
      if (body === undefined || Buffer.isBuffer(body)) request.end(body);
      else {
        body.on('error', (error) => request.destroy(error));
        body.pipe(request);
      }
    });
    const status = message.statusCode ?? 0;
    if ((status >= 200 && status < 300) || call.accept?.includes(status) === true) return message;
    throw new EngineError(status, await errorMessage(message, call), `${call.method} ${call.path}`);
  }

  /** Performs a call and reads the answer as JSON; undefined when it has no body. */
  async json<T>(call: Call, options: { readonly versioned?: boolean } = {}): Promise<T> {
    const message = await this.open(call, options);
    const text = (await read(message)).toString();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Performs a call whose answer says nothing. @returns the status. */
  async send(call: Call): Promise<number> {
    const message = await this.open(call);
    await read(message);
    return message.statusCode ?? 0;
  }

  /** Takes the connection over (attach, exec): after the engine's 101 the socket is ours in both directions. */
  async hijack(call: Call): Promise<{ readonly socket: Duplex; readonly contentType: string }> {
    const path = await this.#path(call, true);
    const body = bodyOf(call);
    const options = this.#options(call, path, body);
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        ...options,
        agent: false,
        headers: { ...(options.headers as Record<string, string>), connection: 'Upgrade', upgrade: 'tcp' },
      });
      request.on('error', (error) => reject(this.#unreachable(error, call)));
      request.on('upgrade', (message, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve({ socket, contentType: message.headers['content-type'] ?? '' });
      });
      request.on('response', (message) => {
        const status = message.statusCode ?? 0;
        if (status === 200) {
          resolve({ socket: message.socket, contentType: message.headers['content-type'] ?? '' });
          return;
        }
        errorMessage(message, call).then(
          (text) => reject(new EngineError(status, text, `${call.method} ${call.path}`)),
          reject,
        );
      });
      request.end(Buffer.isBuffer(body) ? body : undefined);
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #path(call: Call, versioned: boolean): Promise<string> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value === undefined) continue;
      if (Array.isArray(value)) for (const item of value as readonly string[]) query.append(name, item);
      else query.append(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
    }
    const search = query.size === 0 ? '' : `?${query}`;
    return `${versioned ? await this.#prefix() : ''}${call.path}${search}`;
  }

  #options(call: Call, path: string, body: Buffer | Readable | undefined): RequestOptions {
    const headers: Record<string, string> = { host: 'api.varve.localhost', ...call.headers };
    if (call.json !== undefined) headers['content-type'] = 'application/json';
    if (Buffer.isBuffer(body)) headers['content-length'] = String(body.length);
    else if (body === undefined && call.method !== 'GET' && call.method !== 'HEAD')
      headers['content-length'] = '0';
    return {
      ...this.address,
      method: call.method,
      path,
      headers,
      agent: this.#agent,
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    };
  }

  #unreachable(error: Error, call: Call): Error {
    if (error.name === 'AbortError') return error;
    const { code } = error as NodeJS.ErrnoException;
    const text =
      code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'EACCES'
        ? `Cannot connect to the engine at ${this.#shown}${code === 'EACCES' ? ': permission denied' : '. Is it running?'}`
        : `error during connect: ${error.message}`;
    return new EngineError(0, text, `${call.method} ${call.path}`, error);
  }
}

function bodyOf(call: Call): Buffer | Readable | undefined {
  return call.json === undefined ? call.body : Buffer.from(JSON.stringify(call.json));
}

/** Reads a whole answer of bounded size. */
export async function read(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message) {
    size += (chunk as Buffer).length;
    if (size > documentLimit) {
      message.destroy();
      throw new EngineError(0, `the answer is larger than ${documentLimit} bytes`, '');
    }
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

async function errorMessage(message: IncomingMessage, call: Call): Promise<string> {
  const text = (await read(message)).toString();
  try {
    const parsed = JSON.parse(text) as { message?: unknown };
    if (typeof parsed.message === 'string') return parsed.message;
  } catch {
    // Old or foreign engines answer plain text.
  }
  return text.trim() || `${call.method} ${call.path}: ${message.statusCode} ${message.statusMessage}`;
}
