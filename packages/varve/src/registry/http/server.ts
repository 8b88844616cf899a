import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { VarveError } from '../../base/index.ts';
import { errorBody, RegistryError } from '../errors.ts';
import { type DispatchParts, dispatch } from './dispatch.ts';
import type { TlsSettings } from './tls.ts';

/** Bounds of the server; times in milliseconds. */
export interface ServerLimits {
  /** Requests answered at once; more get 429. */
  readonly maxRequests: number;
  /** Open connections; more are closed. */
  readonly maxConnections: number;
  /** A connection on which nothing moves for so long is closed, also in the middle of a body. */
  readonly idleTimeoutMs: number;
}

// Headers of a registry request are small; a token can be some KiB.
const maxHeaderBytes = 32 * 1024;
const headersTimeoutMs = 30_000;
// Longer than the idle time of the clients' and proxies' pools, so that they close first (Go: 90 s).
const keepAliveMs = 95_000;

/** A listening server that can be drained. */
export class HttpServer {
  readonly #server: Server | TlsServer;
  readonly #parts: DispatchParts;
  readonly #limits: ServerLimits;
  readonly #running = new Set<Promise<void>>();
  readonly #exchanges = new Map<
    Socket,
    { readonly request: IncomingMessage; readonly response: ServerResponse }
  >();
  #draining = false;

  /** @param tls to speak https. */
  constructor(parts: DispatchParts, limits: ServerLimits, tls?: TlsSettings) {
    this.#parts = parts;
    this.#limits = limits;
    const options = {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      keepAliveTimeout: keepAliveMs,
      // The default of five minutes would cut a large blob on a slow line; the idle timeout is the guard instead.
      requestTimeout: 0,
      noDelay: true,
    };
    const handle = (request: IncomingMessage, response: ServerResponse): void =>
      this.#handle(request, response, false);
    if (tls) {
      const asked = { requestCert: tls.clients !== 'none', rejectUnauthorized: tls.clients === 'required' };
      this.#server = createTlsServer({ ...options, ...tls.context, ...asked }, handle);
      if (tls.clients === 'optional') this.#server.on('secureConnection', refuseWrongCertificate);
    } else {
      this.#server = createServer(options, handle);
    }
    this.#server.maxConnections = limits.maxConnections;
    this.#server.setTimeout(limits.idleTimeoutMs);
    this.#server.on('timeout', (socket: Socket) => this.#onIdle(socket));
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
      this.#handle(request, response, true),
    );
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) =>
      rejectBadRequest(error, socket),
    );
  }

  /** @throws VarveError `unavailable` when the address cannot be bound. */
  async listen(host: string | undefined, port: number): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(
          new VarveError(
            'unavailable',
            'LISTEN_FAILED',
            `cannot listen on ${host ?? '*'}:${port}: ${error.message}`,
            {
              cause: error,
              hint: 'set http.addr to a free address',
            },
          ),
        ),
      );
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
    });
    return this.#server.address() as AddressInfo;
  }

  /** Takes another certificate for the connections to come. */
  replaceCertificate(tls: TlsSettings): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(tls.context);
  }

  /** Takes no new connections, lets the running requests end for `graceMs`, then cuts what is left. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await Promise.all(this.#running);
    this.#server.closeIdleConnections();
    await closed;
    clearTimeout(timer);
    await Promise.all(this.#running);
  }

  #handle(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    if (this.#draining) response.shouldKeepAlive = false;
    if (this.#running.size >= this.#limits.maxRequests) {
      refuseBusy(this.#parts, response);
      return;
    }
    const { socket } = request;
    const exchange = { request, response };
    this.#exchanges.set(socket, exchange);
    const work = dispatch(this.#parts, request, response, awaitsContinue).finally(() => {
      this.#running.delete(work);
      if (this.#exchanges.get(socket) === exchange) this.#exchanges.delete(socket);
      // A connection that was busy when the drain began is idle only now.
      if (this.#draining) setImmediate(() => this.#server.closeIdleConnections());
    });
    this.#running.add(work);
  }

  /**
   * Nothing moved: close, unless it is the server that is at work (the fsync of a large blob takes its time, and so does
   * another registry that a blob comes from): then everything for the client is sent.
   */
  #onIdle(socket: Socket): void {
    const exchange = this.#exchanges.get(socket);
    if (exchange?.request.complete && exchange.response.writableLength === 0) {
      socket.setTimeout(this.#limits.idleTimeoutMs);
    } else {
      socket.destroy();
    }
  }
}

/** A client may come without a certificate, not with one that nobody vouches for. */
function refuseWrongCertificate(socket: TLSSocket): void {
  if (!socket.authorized && socket.getPeerX509Certificate()) socket.destroy();
}

function refuseBusy(parts: DispatchParts, response: ServerResponse): void {
  const error = new RegistryError('TOOMANYREQUESTS');
  const body = errorBody(error);
  response.writeHead(error.status, [
    ...parts.commonHeaders,
    'Content-Type',
    'application/json; charset=utf-8',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Retry-After',
    '1',
    'Connection',
    'close',
  ]);
  response.end(body);
}

/** Answers what is not HTTP, or too large in its head, and ends the connection. */
function rejectBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
