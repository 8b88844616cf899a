import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { VarveError } from '../base/index.ts';
import type { Engine, Logger } from '../engine/index.ts';
import { Exchange, type UpgradeSocket } from './exchange.ts';
import { listen, parseListenAddress } from './listen.ts';
import { originAllowed } from './origin.ts';
import { RouteTable } from './route.ts';
import { routes } from './routes/index.ts';
import { failureAnswer } from './status.ts';
import { readUpgradeBody, replayBody } from './upgrade-body.ts';
import { apiVersion, newestVersion, versionProblem } from './versions.ts';

export interface ApiServerOptions {
  /** `unix:///run/varve/varve.sock`, `tcp://127.0.0.1:2375`, `fd://3`. */
  readonly hosts: readonly string[];
  readonly log: Logger;
  /** Group that may use a unix socket, besides root. */
  readonly socketGroup?: number;
}

export interface ApiServer extends AsyncDisposable {
  /** What it listens on, with the ports that were chosen. */
  readonly addresses: readonly string[];
  /** Ends all connections, those taken over too. */
  close(): Promise<void>;
}

/** Headers of a request may not be larger than this in all. */
const headerLimit = 64 * 1024;
/** Longer than the idle time of Go's clients (90 s in net/http), so that the client closes first. */
const keepAliveMs = 120_000;

const table = new RouteTable(routes);
const newest = apiVersion(newestVersion);

function splitVersion(path: string): { readonly version: string | undefined; readonly rest: string } {
  const match = /^\/v(\d{1,4}(?:\.\d{1,4}){0,2})(\/.*)$/.exec(path);
  return match ? { version: match[1], rest: match[2] as string } : { version: undefined, rest: path };
}

function splitUrl(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  return { path: path.replace(/^\/{2,}/, '/'), query: new URLSearchParams(at < 0 ? '' : url.slice(at + 1)) };
}

/**
 * Serves the Docker Engine API over an engine.
 * @throws VarveError `conflict` when an address is taken, `invalid` for one that cannot be read.
 */
export async function createApiServer(engine: Engine, options: ApiServerOptions): Promise<ApiServer> {
  const hijacked = new Set<Duplex>();
  const closing = new AbortController();
  const track = (socket: Duplex): void => {
    hijacked.add(socket);
    socket.once('close', () => hijacked.delete(socket));
  };

  const dispatch = async (
    request: IncomingMessage,
    response: ServerResponse,
    upgrade: UpgradeSocket | undefined,
  ): Promise<void> => {
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    response.once('close', leave);
    upgrade?.socket.once('close', leave);
    response.setHeader('Api-Version', newestVersion);
    response.setHeader('Docker-Experimental', 'false');
    response.setHeader('Ostype', 'linux');
    response.setHeader('Server', `Docker/${engine.core.config.version} (linux)`);
    const { path, query } = splitUrl(request.url ?? '/');
    const { version, rest } = splitVersion(path);
    options.log('debug', 'request', { method: request.method, url: request.url });
    try {
      if (!originAllowed(request)) {
        throw new VarveError('forbidden', 'ORIGIN', 'requests from web pages of other hosts are refused');
      }
      if (request.method === 'OPTIONS') {
        response.writeHead(200, { 'Content-Length': 0 }).end();
        return;
      }
      const problem = version === undefined ? undefined : versionProblem(version);
      if (problem !== undefined) throw new VarveError('invalid', 'API_VERSION', problem);
      const present = version === undefined ? newest : apiVersion(version);
      const found = table.find(request.method ?? 'GET', rest, present);
      if (!found) throw new VarveError('not-found', 'NO_ROUTE', 'page not found');
      const body = upgrade ? await readUpgradeBody(request, upgrade.socket, upgrade.head) : undefined;
      await found.route.handle(
        new Exchange({
          engine,
          request: body ? replayBody(request, body) : request,
          response,
          version: present,
          query,
          parameters: found.parameters,
          signal: AbortSignal.any([gone.signal, closing.signal]),
          upgrade: found.route.hijacks ? upgrade : undefined,
          track,
        }),
      );
    } catch (error) {
      fail(request, response, error, gone.signal);
    }
  };

  const fail = (
    request: IncomingMessage,
    response: ServerResponse,
    error: unknown,
    gone: AbortSignal,
  ): void => {
    const { status, message } = failureAnswer(error);
    if (gone.aborted) return;
    const ours = VarveError.is(error) ? ['internal', 'data-loss'].includes(error.kind) : true;
    if (ours) {
      options.log('error', 'a request failed', { method: request.method, url: request.url, error: message });
      if (!VarveError.is(error) && error instanceof Error) options.log('debug', error.stack ?? message);
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (status === 304) {
      response.writeHead(304).end();
      return;
    }
    const text = `${JSON.stringify({ message })}\n`;
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
    });
    // A connection closed while its client still sends is reset, and the answer may be lost with it (RFC 9112, 9.6).
    request.resume();
    response.end(request.method === 'HEAD' ? undefined : text);
  };

  const servers: Server[] = [];
  const addresses: string[] = [];
  const close = async (): Promise<void> => {
    closing.abort();
    await Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
            for (const socket of hijacked) socket.destroy();
          }),
      ),
    );
  };
  try {
    for (const host of options.hosts.map(parseListenAddress)) {
      const server = createServer({
        maxHeaderSize: headerLimit,
        keepAliveTimeout: keepAliveMs,
        // Uploads (load, build, archive) take as long as they take.
        requestTimeout: 0,
        noDelay: true,
      });
      server.on('request', (request, response) => void dispatch(request, response, undefined));
      server.on('checkContinue', (request, response) => {
        response.writeContinue();
        void dispatch(request, response, undefined);
      });
      server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        // From here on the HTTP server knows this socket no more: closing it is ours.
        track(socket);
        socket.on('error', () => undefined);
        const response = new ServerResponse(request);
        response.assignSocket(socket as Socket);
        // A refusal is a plain answer, and the connection's last.
        response.shouldKeepAlive = false;
        response.once('finish', () => socket.end(() => socket.destroy()));
        void dispatch(request, response, { socket, head });
      });
      server.on('clientError', (_error, socket) => socket.destroy());
      servers.push(server);
      addresses.push(await listen(server, host, options));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close, [Symbol.asyncDispose]: close };
}
