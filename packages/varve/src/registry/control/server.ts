import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { parseBytes, parseDuration, VarveError } from '../../base/index.ts';
import type { Maintenance } from '../maintenance/index.ts';

/** sockaddr_un.sun_path holds 108 bytes with its NUL. unix(7) */
const maxPathBytes = 107;

type Work = (query: URLSearchParams, signal: AbortSignal) => AsyncIterable<object>;

/**
 * Serves what `varve registry gc` and its like ask of a running server, on a socket that only its own account can open.
 * Each answer is a line of JSON for each thing found, as it is found; the last one is `{"done": …}` or `{"error": …}`.
 */
export async function startControl(
  path: string,
  maintenance: Maintenance,
  logger: Logger,
): Promise<AsyncDisposable> {
  const nothing: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };
  if (Buffer.byteLength(path) > maxPathBytes) {
    logger.warn({ path }, 'no control socket: the path of the root folder is too long for one');
    return nothing;
  }
  const work = works(maintenance);
  const server = createServer((request, response) => {
    void answer(work, request, response, logger);
  });
  // Of a server that was killed; the lock on the root says that no other runs.
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      rmSync(path, { force: true });
    },
  };
}

function works(maintenance: Maintenance): Readonly<Record<string, Work>> {
  const collectOptions = (query: URLSearchParams, signal: AbortSignal) => {
    const grace = query.get('grace');
    return {
      ...(grace === null ? {} : { graceMs: parseDuration(grace) / 1e6 }),
      untagged: query.get('untagged') === 'true',
      full: query.get('full') === 'true',
      signal,
    };
  };
  return {
    '/collect': async function* (query, signal) {
      const options = collectOptions(query, signal);
      if (query.get('dry-run') === 'true') {
        yield* maintenance.plan(options);
        yield { done: {} };
      } else yield { done: await maintenance.collect(options) };
    },
    '/scrub': async function* (query, signal) {
      const rate = query.get('rate');
      const { findings, ...done } = await maintenance.scrub({
        signal,
        rate: rate === null ? undefined : parseBytes(rate),
      });
      yield* findings;
      yield { done };
    },
    '/retain': async function* (query, signal) {
      yield* maintenance.retain({ dryRun: query.get('dry-run') === 'true', signal });
      yield { done: {} };
    },
    '/usage': async function* () {
      yield* maintenance.usage();
      yield { done: {} };
    },
  };
}

async function answer(
  work: Readonly<Record<string, Work>>,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://control');
  const handler = Object.hasOwn(work, url.pathname) ? work[url.pathname] : undefined;
  if (request.method !== 'POST' || !handler) {
    response.writeHead(404).end();
    return;
  }
  const stop = new AbortController();
  response.once('close', () => stop.abort());
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  const line = (value: object): void => void response.write(`${JSON.stringify(value)}\n`);
  try {
    for await (const item of handler(url.searchParams, stop.signal)) {
      line(item);
      if (response.writableNeedDrain) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
  } catch (error) {
    const failure = VarveError.from(error);
    if (!stop.signal.aborted) logger.error({ err: error }, 'maintenance failed');
    line({ error: { code: failure.code, message: failure.message } });
  }
  response.end();
}
