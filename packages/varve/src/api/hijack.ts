import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import { announcesBody } from './body.ts';
import type { UpgradeSocket } from './exchange.ts';

/** A connection that no longer speaks HTTP. */
export interface Connection {
  /** What the client sends; its end is the client's half close. */
  readonly input: Readable;
  readonly output: Writable;
  /** Fires when either side is gone. */
  readonly closed: AbortSignal;
  /** Ends our side once all is written, then the whole. */
  end(): void;
}

const httpEvents = ['data', 'end', 'close', 'error', 'drain', 'timeout', 'readable'] as const;

function headLines(
  response: ServerResponse,
  first: string,
  headers: Readonly<Record<string, string>>,
): string {
  const own = Object.entries(response.getHeaders() as Record<string, OutgoingHttpHeader>);
  const lines = own.map(([name, value]) => `${name}: ${String(value)}`);
  return [
    first,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...lines,
    '',
    '',
  ].join('\r\n');
}

/** Writes the head as a packet of its own: docker-py loses what comes in one read with it. */
function writeHead(socket: Duplex, head: string): Promise<void> {
  return new Promise((resolve) => {
    socket.write(head, 'latin1', () => setImmediate(resolve));
  });
}

function connectionOver(socket: Duplex, input: Readable): Connection {
  const gone = new AbortController();
  const close = (): void => gone.abort();
  socket.on('error', close);
  socket.once('close', close);
  if (socket.destroyed) close();
  return {
    input,
    output: socket,
    closed: gone.signal,
    end: () => {
      // All output is flushed before the FIN; the client's half may stay open, so it is cut after that.
      socket.end(() => socket.destroy());
    },
  };
}

/**
 * Takes a connection over, in one of three ways: after `101 UPGRADED` when the client asked for it; without, on the
 * bare socket; or, when the client still sends a chunked body (dockerode without hijack), as an answer beside it.
 */
export async function hijack(
  request: IncomingMessage,
  response: ServerResponse,
  options: {
    readonly contentType: string;
    readonly upgrade: UpgradeSocket | undefined;
    readonly track: (socket: Duplex) => void;
  },
): Promise<Connection> {
  const type = { 'Content-Type': options.contentType };
  if (options.upgrade) {
    const { socket } = options.upgrade;
    const head = headLines(response, 'HTTP/1.1 101 UPGRADED', {
      ...type,
      Connection: 'Upgrade',
      Upgrade: 'tcp',
    });
    response.detachSocket(socket as never);
    const connection = connectionOver(socket, socket);
    await writeHead(socket, head);
    return connection;
  }
  const socket = response.socket;
  if (socket === null) throw new Error('the connection is gone');
  if (announcesBody(request) && !request.readableEnded) {
    response.useChunkedEncodingByDefault = false;
    response.shouldKeepAlive = false;
    response.writeHead(200, type);
    response.flushHeaders();
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    return {
      input: request,
      output: response,
      closed: gone.signal,
      end: () => {
        response.end(() => socket.destroy());
      },
    };
  }
  const head = headLines(response, 'HTTP/1.1 200 OK', type);
  // The parser lets go of the socket only when its listeners are gone.
  for (const event of httpEvents) socket.removeAllListeners(event);
  response.detachSocket(socket);
  options.track(socket);
  socket.setTimeout(0);
  // Before the first write: nobody else listens for the error of a client that has gone.
  const connection = connectionOver(socket, socket);
  await writeHead(socket, head);
  return connection;
}
