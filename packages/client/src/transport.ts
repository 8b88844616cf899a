import type * as http from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { Duplex, pipeline, type Readable } from 'node:stream';
import { EngineError } from './errors.ts';

// Not by import: that reads every export of node:http, and one of them loads a WebSocket client, 10 ms of start-up.
const { Agent, request: httpRequest } = createRequire(import.meta.url)('node:http') as typeof http;

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
  /** Ends the call, and the answer if it is still being read. */
  readonly signal?: AbortSignal | undefined;
  /** Answers that are no error besides 2xx, e.g. 304. */
  readonly accept?: readonly number[];
}

/** A document is bounded: an error message or a JSON value, never a stream. */
const documentLimit = 64 << 20;

/** Where an engine listens. */
export type Address = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/**
 * Reads `unix:///path`, `tcp://host:port` or `http://host:port`.
 * @throws EngineError for another form.
 */
export function parseAddress(host: string): Address {
  if (host.startsWith('unix://') && host.length > 7) return { socketPath: host.slice(7) };
  const match = /^(?:tcp|http):\/\/(\[[^\]]+\]|[^:/]+)(?::(\d{1,5}))?\/?$/.exec(host);
  if (!match) throw new EngineError(0, `unable to parse docker host \`${host}\``, 'connect');
  return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(match[2] ?? 2375) };
}

/** An image's name in a path: its slashes stay, nothing in it can end the path or begin a query. */
export function namePath(name: string): string {
  return encodeURIComponent(name).replaceAll('%2F', '/').replaceAll('%3A', ':').replaceAll('%40', '@');
}

interface Prepared {
  readonly call: Call;
  readonly shown: string;
  readonly path: string;
  readonly body: Buffer | Readable | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Requests to one engine over one address; keeps connections open between calls. */
export class Transport {
  readonly address: Address;
  readonly #shown: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #prefix: () => Promise<string>;
  readonly #signal: AbortSignal | undefined;

  /**
   * @param prefix gives `/v1.51`, asked at the first versioned call.
   * @param signal ends every call.
   */
  constructor(host: string, prefix: () => Promise<string>, signal?: AbortSignal) {
    this.address = parseAddress(host);
    this.#shown = host;
    this.#prefix = prefix;
    this.#signal = signal;
  }

  /** Performs a call and gives the open answer. @throws EngineError for other statuses than 2xx and those accepted. */
  async open(call: Call, options: { readonly versioned?: boolean } = {}): Promise<IncomingMessage> {
    const prepared = await this.#prepare(call, options.versioned !== false);
    let message: IncomingMessage;
    try {
      message = await this.#exchange(prepared);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      message = await this.#exchange(prepared);
    }
    const status = message.statusCode ?? 0;
    if ((status >= 200 && status < 300) || call.accept?.includes(status) === true) {
      destroyOnAbort(message, prepared.signal);
      return message;
    }
    const text = await errorMessage(message, prepared.shown);
    if (prepared.body && !Buffer.isBuffer(prepared.body)) prepared.body.destroy();
    throw new EngineError(status, text, prepared.shown);
  }

  /** Performs a call and reads the answer as JSON; undefined when it has no body. */
  async json<T>(call: Call, options: { readonly versioned?: boolean } = {}): Promise<T> {
    const message = await this.open(call, options);
    const text = (await read(message)).toString();
    try {
      return (text === '' ? undefined : JSON.parse(text)) as T;
    } catch (cause) {
      const shown = `${call.method} ${call.path}`;
      throw new EngineError(0, `the answer to ${shown} is not JSON: ${text.slice(0, 200)}`, shown, cause);
    }
  }

  /** Performs a call whose answer says nothing. @returns the status. */
  async send(call: Call): Promise<number> {
    const message = await this.open(call);
    await read(message);
    return message.statusCode ?? 0;
  }

  /**
   * Takes the connection over (attach, exec): after the engine's 101 the socket is ours in both directions. An engine
   * (or proxy) that answers 200 instead streams in the body of its answer; what is written still goes to the socket.
   */
  async hijack(call: Call): Promise<{ readonly socket: Duplex; readonly contentType: string }> {
    const { shown, path, body, signal } = await this.#prepare(call, true);
    const request = httpRequest({
      ...this.address,
      method: call.method,
      path,
      agent: false,
      headers: { ...this.#headers(call, body), connection: 'Upgrade', upgrade: 'tcp' },
      ...(signal === undefined ? {} : { signal }),
    });
    return new Promise((resolve, reject) => {
      const take = (socket: Duplex, message: IncomingMessage): void => {
        destroyOnAbort(socket, signal);
        resolve({ socket, contentType: message.headers['content-type'] ?? '' });
      };
      request.on('error', (error) => reject(this.#unreachable(error, shown, signal)));
      request.on('upgrade', (message, socket, head) => {
        // The first bytes of output may come in the packet of the 101.
        if (head.length > 0) socket.unshift(head);
        take(socket, message);
      });
      request.on('response', (message) => {
        if (message.statusCode === 200) {
          take(bodyAndSocket(message), message);
          return;
        }
        errorMessage(message, shown).then(
          (text) => reject(new EngineError(message.statusCode ?? 0, text, shown)),
          reject,
        );
      });
      request.end(Buffer.isBuffer(body) ? body : undefined);
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #prepare(call: Call, versioned: boolean): Promise<Prepared> {
    const signals = [call.signal, this.#signal].filter((signal) => signal !== undefined);
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    signal?.throwIfAborted();
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value === undefined) continue;
      if (Array.isArray(value)) for (const item of value) query.append(name, String(item));
      else query.append(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
    }
    const search = query.size === 0 ? '' : `?${query.toString()}`;
    return {
      call,
      shown: `${call.method} ${call.path}`,
      path: `${versioned ? await this.#prefix() : ''}${call.path}${search}`,
      body: call.json === undefined ? call.body : Buffer.from(JSON.stringify(call.json)),
      signal,
    };
  }

  #exchange({ call, shown, path, body, signal }: Prepared): Promise<IncomingMessage> {
    return new Promise<IncomingMessage>((resolve, reject) => {
      const request: ClientRequest = httpRequest(
        {
          ...this.address,
          method: call.method,
          path,
          headers: this.#headers(call, body),
          agent: this.#agent,
          ...(signal === undefined ? {} : { signal }),
        },
        resolve,
      );
      const streamed = body !== undefined && !Buffer.isBuffer(body);
      request.on('error', (error) => {
        const code = 'code' in error ? error.code : undefined;
        // The engine closed an idle connection in the moment we used it: nothing was read of the request.
        if (request.reusedSocket && !streamed && (code === 'ECONNRESET' || code === 'EPIPE')) {
          reject(new StaleConnection());
        } else reject(this.#unreachable(error, shown, signal));
      });
      // An engine may answer, and close, before it has read the whole body; that answer is what counts.
      if (streamed) pipeline(body, request, () => undefined);
      else request.end(body);
    });
  }

  #headers(call: Call, body: Buffer | Readable | undefined): Record<string, string> {
    const headers: Record<string, string> = { host: 'api.varve.localhost', ...call.headers };
    if (call.json !== undefined) headers['content-type'] = 'application/json';
    if (Buffer.isBuffer(body)) headers['content-length'] = String(body.length);
    else if (body === undefined && call.method !== 'GET' && call.method !== 'HEAD') {
      headers['content-length'] = '0';
    }
    return headers;
  }

  #unreachable(error: Error, shown: string, signal: AbortSignal | undefined): Error {
    if (signal?.aborted) return reasonOf(signal);
    const code = 'code' in error ? error.code : undefined;
    const text =
      code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'EACCES'
        ? `Cannot connect to the engine at ${this.#shown}${code === 'EACCES' ? ': permission denied' : '. Is it running?'}`
        : `error during connect: ${error.message}`;
    return new EngineError(0, text, shown, error);
  }
}

class StaleConnection extends Error {}

/** Reads the body of an answer, writes to its connection. */
function bodyAndSocket(message: IncomingMessage): Duplex {
  const { socket } = message;
  const duplex = new Duplex({
    read: () => {
      message.resume();
    },
    write: (chunk: Buffer, _encoding, done) => {
      socket.write(chunk, done);
    },
    final: (done) => {
      socket.end(() => done());
    },
    destroy: (error, done) => {
      message.destroy();
      done(error);
    },
  });
  message.on('data', (chunk: Buffer) => {
    if (!duplex.push(chunk)) message.pause();
  });
  message.on('end', () => duplex.push(null));
  message.on('error', (error) => duplex.destroy(error));
  return duplex;
}

// Node's own handling of a request's signal ends an answer as "aborted", and a taken-over socket not at all.
function destroyOnAbort(stream: Readable | Duplex, signal: AbortSignal | undefined): void {
  if (!signal) return;
  const abort = (): void => {
    stream.destroy(reasonOf(signal));
  };
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', abort));
}

function reasonOf(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new DOMException('aborted', 'AbortError');
}

/** Reads a whole answer of bounded size. */
export async function read(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > documentLimit) {
      message.destroy();
      throw new EngineError(0, `the answer is larger than ${documentLimit} bytes`, '');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function errorMessage(message: IncomingMessage, shown: string): Promise<string> {
  const text = (await read(message)).toString();
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed instanceof Object && 'message' in parsed && typeof parsed.message === 'string') {
      return parsed.message;
    }
  } catch {
    // Old or foreign engines answer plain text.
  }
  return text.trim() || `${shown}: ${message.statusCode} ${message.statusMessage}`;
}
