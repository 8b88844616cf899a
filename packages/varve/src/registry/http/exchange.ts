import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { VarveError } from '../../base/index.ts';
import type { AccessRequest, Action, Identity, Resource } from '../auth/index.ts';
import { RegistryError } from '../errors.ts';
import type { OpenBlob } from '../storage/index.ts';
import { sendFile } from './file-body.ts';
import { BodyChunks } from './body-chunks.ts';
import type { Route } from './router.ts';

/** Header names and values in turn, as node's writeHead takes them fastest. */
export type HeaderList = readonly string[];

// A body that nobody wants is read to here, so that the client gets to read the answer before the connection ends.
const lingerBytes = 16 * 1024 * 1024;
const lingerMs = 5000;
// Less than this is cheaper to swallow than a new connection.
const swallowBytes = 64 * 1024;

const smallBodyBytes = 32 * 1024;

/** One request and its answer. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  /** As sent, without the query. */
  readonly path: string;
  /** Who asks, and what of the request told so. */
  readonly identity: Identity;
  readonly asking: AccessRequest;
  /** Whether a listing shows this client a repository. */
  readonly sees: (repository: string) => boolean;
  /** What the names it is shown begin with. */
  readonly prefixes: () => readonly string[];
  /** Throws unless this client may do this; for what the route's own check does not cover. */
  readonly require: (resource: Resource, action: Action) => void | Promise<void>;
  /** Whether it may, for what is only offered to it: not logged. */
  readonly allows: (resource: Resource, action: Action) => boolean | Promise<boolean>;
  readonly #commonHeaders: HeaderList;
  readonly #search: string;
  #query: URLSearchParams | undefined;
  #awaitsContinue: boolean;
  /** Body bytes sent. */
  sentBytes = 0;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    parts: {
      readonly route: Route;
      readonly path: string;
      readonly search: string;
      readonly identity: Identity;
      readonly asking: AccessRequest;
      readonly require: Exchange['require'];
      readonly allows: Exchange['allows'];
      readonly sees: Exchange['sees'];
      readonly prefixes: Exchange['prefixes'];
      readonly commonHeaders: HeaderList;
      readonly awaitsContinue: boolean;
    },
  ) {
    this.request = request;
    this.response = response;
    this.route = parts.route;
    this.path = parts.path;
    this.identity = parts.identity;
    this.asking = parts.asking;
    this.require = parts.require;
    this.allows = parts.allows;
    this.sees = parts.sees;
    this.prefixes = parts.prefixes;
    this.#search = parts.search;
    this.#commonHeaders = parts.commonHeaders;
    this.#awaitsContinue = parts.awaitsContinue;
  }

  /** As {@link require}, for a question whose answer may be no. */
  async may(resource: Resource, action: Action): Promise<boolean> {
    try {
      await this.require(resource, action);
      return true;
    } catch (error) {
      if (error instanceof RegistryError && (error.status === 401 || error.status === 403)) return false;
      throw error;
    }
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#search);
    return this.#query;
  }

  /** One header, by its lower-case name. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** The body as it arrives. Tells a client that asked first (Expect: 100-continue) to send it. */
  body(): AsyncIterable<Uint8Array> {
    if (this.#awaitsContinue) {
      this.#awaitsContinue = false;
      this.response.writeContinue();
    }
    return new BodyChunks(this.request);
  }

  /** The whole body. @throws RegistryError 413 above `limit` bytes, before reading where Content-Length tells. */
  async readBody(limit: number, tooLarge: () => RegistryError): Promise<Buffer> {
    if (Number(this.header('content-length') ?? 0) > limit) throw tooLarge();
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.body()) {
      size += chunk.length;
      if (size > limit) throw tooLarge();
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  /** Answers with a body in memory; for HEAD, with its head only. */
  send(status: number, headers: HeaderList, body?: string | Uint8Array): void {
    const { request, response } = this;
    if (response.headersSent || response.destroyed) return;
    const head = [...this.#commonHeaders, ...headers];
    const length = typeof body === 'string' ? Buffer.byteLength(body) : (body?.length ?? 0);
    if (status !== 204 && status !== 304 && !headers.includes('Content-Length')) {
      head.push('Content-Length', String(length));
    }
    const content = request.method === 'HEAD' || length === 0 ? undefined : body;
    this.sentBytes = content === undefined ? 0 : length;
    if (this.#hasUnreadBody()) {
      this.#sendAndLinger(status, head, content);
      return;
    }
    response.writeHead(status, head);
    const text = asciiOrBytes(content);
    if (typeof text === 'string') response.end(text, 'latin1');
    else response.end(text);
  }

  /**
   * Answers with a stream of `length` bytes, and waits until it is sent.
   * @throws VarveError `data-loss` when the source has fewer; the connection is then cut, since the head is out.
   */
  async stream(status: number, headers: HeaderList, length: number, source: Readable): Promise<void> {
    const { response } = this;
    response.writeHead(status, [...this.#commonHeaders, ...headers, 'Content-Length', String(length)]);
    source.on('data', (chunk: Uint8Array) => {
      this.sentBytes += chunk.length;
    });
    await pipeline(source, response, { end: false });
    if (this.sentBytes !== length) {
      throw new VarveError('data-loss', 'SIZE_MISMATCH', `storage has ${this.sentBytes} bytes of ${length}`);
    }
    response.end();
  }

  /**
   * As {@link Exchange.stream}, from an open file and without memory of its own.
   * @throws VarveError `data-loss`, as there
   */
  async sendFile(
    status: number,
    headers: HeaderList,
    blob: OpenBlob,
    range: { readonly start: number; readonly end: number },
  ): Promise<void> {
    const { response } = this;
    const length = range.end - range.start;
    response.writeHead(status, [...this.#commonHeaders, ...headers, 'Content-Length', String(length)]);
    await sendFile(response, blob, range, (bytes) => {
      this.sentBytes += bytes;
    });
    if (this.sentBytes !== length) {
      throw new VarveError('data-loss', 'SIZE_MISMATCH', `storage has ${this.sentBytes} bytes of ${length}`);
    }
    response.end();
  }

  #hasUnreadBody(): boolean {
    const { request } = this;
    if (request.complete || request.method === 'GET' || request.method === 'HEAD') return false;
    if (request.headers['transfer-encoding'] !== undefined) return true;
    const length = Number(request.headers['content-length'] ?? 0);
    return length > (this.#awaitsContinue ? 0 : swallowBytes);
  }

  /**
   * Sends the answer whole and only then ends the connection: closing while the peer still sends makes the kernel
   * reset it, and the answer is lost (RFC 9112 section 9.6).
   */
  #sendAndLinger(status: number, head: readonly string[], content: string | Uint8Array | undefined): void {
    const { request, response } = this;
    response.writeHead(status, [...head, 'Connection', 'close']);
    if (content !== undefined) response.write(content);
    else response.flushHeaders();
    let swallowed = 0;
    const timer = setTimeout(() => request.socket.destroy(), lingerMs);
    timer.unref();
    const end = (): void => {
      clearTimeout(timer);
      response.end();
    };
    request.on('data', (chunk: Buffer) => {
      swallowed += chunk.length;
      if (swallowed > lingerBytes) request.socket.destroy();
    });
    request.once('end', end);
    request.once('close', end);
    request.on('error', () => undefined);
    // A client that waits for 100-continue sends nothing after a final answer: it closes.
    if (this.#awaitsContinue) response.end();
    else request.resume();
  }
}

/**
 * A small body as text of one byte a character: node then writes head and body as one string, which costs half of what
 * gathering two buffers does. Text beyond ASCII stays bytes.
 */
function asciiOrBytes(content: string | Uint8Array | undefined): string | Uint8Array | undefined {
  if (content === undefined) return undefined;
  if (typeof content === 'string') {
    return Buffer.byteLength(content) === content.length ? content : Buffer.from(content);
  }
  if (content.length > smallBodyBytes) return content;
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
}
