import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { VarveError } from '../../base/index.ts';
import { parseAddress } from '../config/index.ts';
import type { Metrics } from './metrics.ts';

/** What the listener for those who run the registry answers with. */
export interface DebugParts {
  /** Absent where metrics are off. */
  readonly metrics: Metrics | undefined;
  readonly metricsPath: string;
  /** Throws what keeps the registry from serving: records, storage. */
  readonly check: () => Promise<void>;
  /** True from when the registry takes requests to when it is told to stop. */
  readonly ready: () => boolean;
}

export interface DebugServer extends AsyncDisposable {
  readonly port: number;
}

const checkTimeoutMs = 5000;

/**
 * Serves `/metrics`, `/healthz` (the process lives), `/readyz` and docker/distribution's `/debug/health` (it can serve) on
 * an address of their own, which is not for the world.
 * @throws VarveError `unavailable` when the address cannot be bound.
 */
export async function startDebugServer(addr: string, parts: DebugParts): Promise<DebugServer> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0];
    void answer(parts, path ?? '/', response).catch(() => response.destroy());
  });
  const { host, port } = parseAddress(addr) ?? { host: '127.0.0.1', port: 0 };
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new VarveError('unavailable', 'LISTEN_FAILED', `cannot listen on ${addr}: ${cause.message}`, {
          cause,
          hint: 'set http.debug.addr to a free address',
        }),
      ),
    );
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(parts: DebugParts, path: string, response: ServerResponse): Promise<void> {
  const json = (status: number, body: object): void => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  };
  if (path === '/healthz') return json(200, {});
  if (path === '/readyz' || path === '/debug/health') {
    const failure = parts.ready() ? await failureOf(parts.check) : 'it is stopping';
    return failure === undefined ? json(200, {}) : json(503, { registry: failure });
  }
  if (path === parts.metricsPath && parts.metrics) {
    const { type, body } = await parts.metrics.text();
    response.writeHead(200, { 'Content-Type': type }).end(body);
    return;
  }
  json(404, { error: 'no such page' });
}

async function failureOf(check: () => Promise<void>): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), checkTimeoutMs);
  });
  try {
    await Promise.race([check(), late]);
    return undefined;
  } catch (error) {
    return VarveError.from(error).message;
  } finally {
    clearTimeout(timer);
  }
}
