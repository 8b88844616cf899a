import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { VarveError } from '../../base/index.ts';

/**
 * Asks a running server for a piece of maintenance, and gives what it says as it comes, `{"done": …}` last.
 * @param socket `control.sock` in the server's root folder
 * @throws VarveError `unavailable` when no server runs there, and what the server says went wrong
 */
export async function* callControl(
  socket: string,
  path: '/collect' | '/scrub' | '/retain' | '/usage',
  query: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): AsyncGenerator<object, void, void> {
  const lines = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
    const search = new URLSearchParams(query).toString();
    request({ socketPath: socket, method: 'POST', path: `${path}?${search}`, ...(signal ? { signal } : {}) })
      .once('response', resolve)
      .once('error', (cause) => {
        reject(
          new VarveError('unavailable', 'NO_REGISTRY', `no registry answers at ${socket}: ${cause.message}`, {
            subject: socket,
            hint: 'start it with: varve registry serve',
            cause,
          }),
        );
      })
      .end();
  });
  let whole = false;
  for await (const line of createInterface({ input: lines })) {
    const item = JSON.parse(line) as { readonly error?: { readonly code: string; readonly message: string } };
    if (item.error) throw new VarveError('internal', item.error.code, item.error.message);
    whole ||= 'done' in item;
    yield item;
  }
  if (!whole) throw new VarveError('unavailable', 'REGISTRY_ENDED', 'the registry ended before it was done');
}
