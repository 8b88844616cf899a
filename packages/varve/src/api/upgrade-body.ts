import type { IncomingMessage } from 'node:http';
import { type Duplex, Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import { jsonLimit } from './body.ts';

/** Takes bytes off a socket until `enough` finds what it looks for; the rest goes back. */
async function take<T>(
  socket: Duplex,
  head: Buffer,
  enough: (bytes: Buffer) => { readonly value: T; readonly used: number } | undefined,
): Promise<T> {
  let bytes = head;
  for (;;) {
    const found = enough(bytes);
    if (found) {
      const rest = bytes.subarray(found.used);
      if (rest.length > 0) socket.unshift(rest);
      return found.value;
    }
    if (bytes.length > jsonLimit * 2) {
      throw new VarveError('too-large', 'BODY_TOO_LARGE', 'request body is too large');
    }
    const chunk = await nextChunk(socket);
    if (chunk === undefined)
      throw new VarveError('invalid', 'BODY_CUT', 'unexpected end of the request body');
    bytes = Buffer.concat([bytes, chunk]);
  }
}

function nextChunk(socket: Duplex): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const finish = (chunk?: Buffer): void => {
      socket.off('readable', readable);
      socket.off('end', finish);
      socket.off('close', finish);
      resolve(chunk);
    };
    const readable = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk !== null) finish(chunk);
    };
    socket.on('readable', readable);
    socket.once('end', () => finish());
    socket.once('close', () => finish());
  });
}

/** A chunked body (RFC 9112, 7.1), whole; undefined while it is not all there. */
export function decodeChunked(bytes: Buffer): { readonly value: Buffer; readonly used: number } | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  let size = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const match = /^([0-9a-fA-F]{1,8})(?:;.*)?$/.exec(bytes.toString('latin1', at, lineEnd));
    if (!match) throw new VarveError('invalid', 'BAD_CHUNK', 'malformed chunked request body');
    const length = Number.parseInt(match[1] as string, 16);
    size += length;
    if (size > jsonLimit) throw new VarveError('too-large', 'BODY_TOO_LARGE', 'request body is too large');
    const start = lineEnd + 2;
    if (bytes.length < start + length + 2) return undefined;
    if (length === 0) {
      // No trailer fields are expected on these requests: the empty line ends the body.
      return { value: Buffer.concat(parts), used: start + 2 };
    }
    parts.push(bytes.subarray(start, start + length));
    at = start + length + 2;
  }
}

/**
 * The body of a request that asked to upgrade. Node up to 25 leaves it unparsed in `head` and on the socket, with the
 * first bytes of stdin behind it; newer ones parse it. What is not body goes back onto the socket.
 */
export async function readUpgradeBody(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<Buffer> {
  if (!request.complete) {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (head.length > 0) socket.unshift(head);
    return Buffer.concat(chunks);
  }
  if (request.headers['transfer-encoding'] !== undefined) return take(socket, head, decodeChunked);
  const length = Number(request.headers['content-length'] ?? 0);
  if (!Number.isSafeInteger(length) || length > jsonLimit) {
    throw new VarveError('too-large', 'BODY_TOO_LARGE', 'request body is too large');
  }
  return take(socket, head, (bytes) =>
    bytes.length < length ? undefined : { value: bytes.subarray(0, length), used: length },
  );
}

/** A request body read already, as the stream that handlers expect. */
export function replayBody(request: IncomingMessage, body: Buffer): IncomingMessage {
  const stream = Readable.from(body.length > 0 ? [body] : [], { objectMode: false });
  const { 'transfer-encoding': _encoding, ...headers } = request.headers;
  return Object.assign(stream, {
    headers: { ...headers, 'content-length': String(body.length) },
    method: request.method,
    url: request.url,
    httpVersion: request.httpVersion,
    socket: request.socket,
  }) as unknown as IncomingMessage;
}
