import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An object of an emulated store. */
export interface EmulatedObject {
  readonly bytes: Buffer;
  readonly type: string;
  readonly modifiedAt: Date;
  /** Ascending with every write. */
  readonly generation: number;
  /** Put together from others. */
  readonly isComposite: boolean;
}

export class EmulatedBucket {
  readonly objects = new Map<string, EmulatedObject>();
  #generation = Date.now() * 1000;

  put(key: string, bytes: Buffer, type = 'application/octet-stream', isComposite = false): EmulatedObject {
    const object = { bytes, type, modifiedAt: new Date(), generation: ++this.#generation, isComposite };
    this.objects.set(key, object);
    return object;
  }

  /** Keys that begin with `prefix` and come after `after`, ascending; at most `limit`, and whether there are more. */
  page(prefix: string, after: string, limit: number): { readonly keys: string[]; readonly more: boolean } {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    return { keys: keys.slice(0, limit), more: keys.length > limit };
  }
}

/** What an emulator refuses, in the terms of its protocol. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** One request, whole. */
export interface EmulatedRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface Emulator extends AsyncDisposable {
  readonly url: string;
}

/** Serves HTTP on a free port of the loopback address. */
export async function startEmulator(
  handle: (request: EmulatedRequest, response: ServerResponse) => void,
  refuse: (refusal: Refusal, response: ServerResponse) => void,
): Promise<Emulator> {
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const url = new URL(incoming.url ?? '', `http://${incoming.headers.host}`);
      const { method = '', headers } = incoming;
      try {
        handle({ method, url, headers, body: Buffer.concat(chunks) }, response);
      } catch (error) {
        const refusal = error instanceof Refusal ? error : new Refusal(500, 'InternalError', String(error));
        if (!response.headersSent) refuse(refusal, response);
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends an object or a range of it (RFC 9110 section 14). */
export function sendObject(
  { bytes, type, modifiedAt }: EmulatedObject,
  { method, headers }: EmulatedRequest,
  response: ServerResponse,
  extra: Readonly<Record<string, string>> = {},
): void {
  const match = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
  const start = match ? Number(match[1]) : 0;
  const end = match?.[2] ? Math.min(Number(match[2]) + 1, bytes.length) : bytes.length;
  if (match && start >= bytes.length) throw new Refusal(416, 'InvalidRange');
  response.writeHead(match ? 206 : 200, {
    'Content-Type': type,
    'Content-Length': end - start,
    'Last-Modified': modifiedAt.toUTCString(),
    ...(match ? { 'Content-Range': `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
    ...extra,
  });
  response.end(method === 'HEAD' ? undefined : bytes.subarray(start, end));
}

export function md5(bytes: Uint8Array): Buffer {
  return createHash('md5').update(bytes).digest();
}
