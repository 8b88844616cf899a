import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Duplex, Readable } from 'node:stream';
import type { RegistryCredentials } from '../distribution/index.ts';
import type { Engine } from '../engine/index.ts';
import { announcesBody, parseJsonObject, readBody, requireJsonType } from './body.ts';
import { type Connection, hijack } from './hijack.ts';
import { Query } from './query.ts';
import { registryAuth } from './registry-auth.ts';
import type { ApiVersion } from './versions.ts';

/** The raw socket of a request that asked to upgrade, with what came after its headers. */
export interface UpgradeSocket {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** One request and its answer, as a route's handler sees them. */
export class Exchange {
  readonly engine: Engine;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly version: ApiVersion;
  readonly query: Query;
  /** Fires when the client has gone or the server closes. */
  readonly signal: AbortSignal;
  readonly #parameters: Readonly<Record<string, string>>;
  readonly #upgrade: UpgradeSocket | undefined;
  readonly #track: (socket: Duplex) => void;

  constructor(options: {
    readonly engine: Engine;
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly version: ApiVersion;
    readonly query: URLSearchParams;
    readonly parameters: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    readonly upgrade: UpgradeSocket | undefined;
    readonly track: (socket: Duplex) => void;
  }) {
    this.engine = options.engine;
    this.request = options.request;
    this.response = options.response;
    this.version = options.version;
    this.query = new Query(options.query);
    this.signal = options.signal;
    this.#parameters = options.parameters;
    this.#upgrade = options.upgrade;
    this.#track = options.track;
  }

  /** A part of the path, decoded. */
  parameter(name: string): string {
    return this.#parameters[name] ?? '';
  }

  header(name: string): string {
    const value = this.request.headers[name];
    return typeof value === 'string' ? value : '';
  }

  get credentials(): RegistryCredentials | undefined {
    return registryAuth(this.request.headers['x-registry-auth']);
  }

  get upgraded(): boolean {
    return this.#upgrade !== undefined;
  }

  /**
   * The body as bytes. Whoever gives up reading it ends this stream and not the connection, over which the answer that
   * says why has yet to go; what the client still sends is then let pass.
   */
  body(): Readable {
    this.response.once('finish', () => this.request.resume());
    return Readable.from(this.request.iterator({ destroyOnReturn: false }), { objectMode: false });
  }

  /** The body as a JSON object. @throws VarveError `invalid` for another type, no body or no object. */
  async json(): Promise<Record<string, unknown>> {
    requireJsonType(this.request);
    return parseJsonObject(await readBody(this.request));
  }

  /** The same, with an empty object for no body. */
  async optionalJson(): Promise<Record<string, unknown>> {
    return announcesBody(this.request) ? this.json() : {};
  }

  /** Answers with a document. */
  send(status: number, document: unknown): void {
    const text = `${JSON.stringify(document)}\n`;
    this.response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
    });
    this.response.end(text);
  }

  /** Answers without a body. */
  sendStatus(status: number): void {
    this.response.writeHead(status, status === 204 || status === 304 ? {} : { 'Content-Length': 0 });
    this.response.end();
  }

  /** Sends the head of a stream at once: clients wait for it before they go on. */
  begin(contentType: string, status = 200): void {
    this.response.writeHead(status, { 'Content-Type': contentType });
    this.response.flushHeaders();
  }

  /** Writes a piece of a stream; resolves when more can be written. False when the client has gone. */
  async write(data: Buffer | string): Promise<boolean> {
    const { response } = this;
    if (response.destroyed || this.signal.aborted) return false;
    if (response.write(data)) return true;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        response.off('drain', done);
        response.off('close', done);
        resolve();
      };
      response.on('drain', done);
      response.on('close', done);
    });
    return !response.destroyed;
  }

  /** Writes one line of a JSON stream. */
  line(document: unknown): Promise<boolean> {
    return this.write(`${JSON.stringify(document)}\r\n`);
  }

  /** Takes the connection over: after the head it carries raw bytes both ways. */
  hijack(contentType: string): Promise<Connection> {
    return hijack(this.request, this.response, {
      contentType,
      upgrade: this.#upgrade,
      track: this.#track,
    });
  }
}
