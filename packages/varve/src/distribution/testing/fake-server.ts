import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { digestOf } from '../../oci/index.ts';

/** What a server was asked, for assertions. */
export interface SeenRequest {
  readonly method: string;
  readonly url: URL;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

export interface FakeServer extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly seen: readonly SeenRequest[];
  /** Requests to a path, in order. */
  to(path: string): readonly SeenRequest[];
}

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

/** Starts a loopback HTTP (or, with a certificate, HTTPS) server that notes what it is asked. */
export async function serve(
  handler: Handler,
  tls?: { readonly key: string | Buffer; readonly cert: string | Buffer },
): Promise<FakeServer> {
  const seen: SeenRequest[] = [];
  const listener: RequestListener = (request, response) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    const { authorization, range } = request.headers;
    seen.push({ method: request.method ?? '', url, authorization, range });
    // A client that leaves in the middle is part of these tests.
    void Promise.resolve(handler(request, response, url)).catch(() => response.destroy());
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    seen,
    to: (path) => seen.filter(({ url }) => url.pathname === path),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Answers with JSON. */
export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** A registry's error answer. */
export function fault(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  json(response, status, { errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] }, headers);
}

/** Reads a request's body. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Serves one blob with ranges, as registries do. */
export function serveBlob(request: IncomingMessage, response: ServerResponse, data: Buffer): void {
  const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
  const headers = { 'content-type': 'application/octet-stream', 'docker-content-digest': digestOf(data) };
  if (Number.isNaN(start)) {
    response.writeHead(200, { ...headers, 'content-length': data.length }).end(data);
    return;
  }
  response
    .writeHead(206, {
      ...headers,
      'content-range': `bytes ${start}-${data.length - 1}/${data.length}`,
      'content-length': data.length - start,
    })
    .end(data.subarray(start));
}
