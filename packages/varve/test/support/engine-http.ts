import { request } from 'node:http';

/** What the engine answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** One raw request to the engine's socket, past all that a client would check. */
export function engineCall(
  socket: string,
  method: string,
  path: string,
  body: Buffer,
  type = 'application/x-tar',
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: socket,
        method,
        path,
        headers: { 'Content-Type': type, 'Content-Length': body.length },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.once('error', reject);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }),
        );
      },
    );
    // An engine that refuses may close before all was sent; its answer still comes.
    call.once('error', reject);
    call.end(body);
  });
}
