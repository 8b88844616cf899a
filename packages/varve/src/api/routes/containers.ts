import { VarveError } from '../../base/index.ts';
import type { WaitCondition } from '../../engine/index.ts';
import { announcesBody } from '../body.ts';
import { parseCreateBody, parseUpdateBody } from '../create-body.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';
import { containerInspect } from '../views/container-inspect.ts';
import { containerSummary } from '../views/container-summary.ts';

async function list(exchange: Exchange): Promise<void> {
  const { engine, query, version } = exchange;
  const limit = query.integer('limit');
  const containers = engine.containers.list({
    all: query.flag('all'),
    filters: query.filters(),
    ...(limit === undefined ? {} : { limit }),
  });
  const sized = query.flag('size');
  exchange.send(
    200,
    await Promise.all(
      containers.map(async (container) =>
        containerSummary(
          engine,
          container,
          version,
          sized ? await engine.containers.size(container) : undefined,
        ),
      ),
    ),
  );
}

async function create(exchange: Exchange): Promise<void> {
  const { engine, query } = exchange;
  const body = parseCreateBody(await exchange.json());
  const result = await engine.containers.create({
    ...body,
    ...(query.text('name') === '' ? {} : { name: query.text('name') }),
    ...(query.text('platform') === '' ? {} : { platform: query.text('platform') }),
  });
  exchange.send(201, { Id: result.id, Warnings: result.warnings });
}

async function inspect(exchange: Exchange): Promise<void> {
  const { engine, query, version } = exchange;
  const container = engine.core.containers.resolve(exchange.parameter('id'));
  const size = query.flag('size') ? await engine.containers.size(container) : undefined;
  exchange.send(200, containerInspect(engine, container, version, size));
}

async function start(exchange: Exchange): Promise<void> {
  const { request, engine } = exchange;
  if (
    request.headers['transfer-encoding'] !== undefined ||
    Number(request.headers['content-length'] ?? 0) > 7
  ) {
    throw new VarveError(
      'invalid',
      'START_BODY',
      'starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24',
    );
  }
  await engine.containers.start(exchange.parameter('id'));
  exchange.sendStatus(204);
}

function stopOptions(exchange: Exchange): { readonly signal?: string; readonly timeout?: number } {
  const { query } = exchange;
  const timeout = query.integer('t');
  const signal = query.text('signal');
  return { ...(signal === '' ? {} : { signal }), ...(timeout === undefined ? {} : { timeout }) };
}

async function stop(exchange: Exchange): Promise<void> {
  await exchange.engine.containers.stop(exchange.parameter('id'), stopOptions(exchange));
  exchange.sendStatus(204);
}

async function restart(exchange: Exchange): Promise<void> {
  await exchange.engine.containers.restart(exchange.parameter('id'), stopOptions(exchange));
  exchange.sendStatus(204);
}

async function kill(exchange: Exchange): Promise<void> {
  await exchange.engine.containers.kill(exchange.parameter('id'), exchange.query.text('signal') || 'SIGKILL');
  exchange.sendStatus(204);
}

async function update(exchange: Exchange): Promise<void> {
  const body = parseUpdateBody(await exchange.json());
  const { warnings } = await exchange.engine.containers.update(exchange.parameter('id'), body);
  exchange.send(200, { Warnings: warnings });
}

async function remove(exchange: Exchange): Promise<void> {
  const { query } = exchange;
  if (query.flag('link')) {
    throw new VarveError('invalid', 'NO_LINKS', `cannot remove links: ${exchange.parameter('id')} has none`);
  }
  await exchange.engine.containers.remove(exchange.parameter('id'), {
    force: query.flag('force'),
    volumes: query.flag('v'),
  });
  exchange.sendStatus(204);
}

const conditions: readonly string[] = ['not-running', 'next-exit', 'removed'];

async function wait(exchange: Exchange): Promise<void> {
  const condition = exchange.query.text('condition') || 'not-running';
  if (!conditions.includes(condition)) {
    throw new VarveError('invalid', 'INVALID_CONDITION', `invalid condition: "${condition}"`);
  }
  const { result } = exchange.engine.containers.wait(
    exchange.parameter('id'),
    condition as WaitCondition,
    exchange.signal,
  );
  // Clients start the container only when they have seen this head.
  exchange.begin('application/json');
  const ended = await result;
  if (ended) {
    await exchange.write(
      `${JSON.stringify({
        StatusCode: ended.exitCode,
        ...(ended.error ? { Error: { Message: ended.error } } : {}),
      })}\n`,
    );
  }
  exchange.response.end();
}

async function top(exchange: Exchange): Promise<void> {
  const table = await exchange.engine.containers.top(
    exchange.parameter('id'),
    exchange.query.text('ps_args') || '-ef',
  );
  exchange.send(200, { Titles: table.titles, Processes: table.processes });
}

const kinds = { modify: 0, add: 1, delete: 2 } as const;

async function changes(exchange: Exchange): Promise<void> {
  const found = await exchange.engine.containers.changes(exchange.parameter('id'));
  exchange.send(
    200,
    found.map(({ path, kind }) => ({ Path: path, Kind: kinds[kind] })),
  );
}

async function stats(exchange: Exchange): Promise<void> {
  const { engine, query, signal } = exchange;
  const samples = engine.containers.stats(exchange.parameter('id'), {
    stream: query.flag('stream', true),
    oneShot: query.flag('one-shot'),
    signal,
  });
  exchange.begin('application/json');
  for await (const sample of samples) {
    if (!(await exchange.write(`${JSON.stringify(sample)}\n`))) break;
  }
  exchange.response.end();
}

async function prune(exchange: Exchange): Promise<void> {
  if (announcesBody(exchange.request)) exchange.request.resume();
  const { deleted, bytes } = await exchange.engine.containers.prune(exchange.query.filters());
  exchange.send(200, { ContainersDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: bytes });
}

export const containerRoutes: readonly Route[] = [
  { method: 'GET', path: '/containers/json', handle: list },
  { method: 'POST', path: '/containers/create', handle: create },
  { method: 'POST', path: '/containers/prune', handle: prune },
  { method: 'GET', path: '/containers/{id}/json', handle: inspect },
  { method: 'POST', path: '/containers/{id}/start', handle: start },
  { method: 'POST', path: '/containers/{id}/stop', handle: stop },
  { method: 'POST', path: '/containers/{id}/restart', handle: restart },
  { method: 'POST', path: '/containers/{id}/kill', handle: kill },
  {
    method: 'POST',
    path: '/containers/{id}/pause',
    handle: async (exchange) => {
      await exchange.engine.containers.pause(exchange.parameter('id'));
      exchange.sendStatus(204);
    },
  },
  {
    method: 'POST',
    path: '/containers/{id}/unpause',
    handle: async (exchange) => {
      await exchange.engine.containers.unpause(exchange.parameter('id'));
      exchange.sendStatus(204);
    },
  },
  {
    method: 'POST',
    path: '/containers/{id}/rename',
    handle: (exchange) => {
      exchange.engine.containers.rename(exchange.parameter('id'), exchange.query.text('name'));
      exchange.sendStatus(204);
    },
  },
  { method: 'POST', path: '/containers/{id}/update', handle: update },
  { method: 'POST', path: '/containers/{id}/wait', handle: wait },
  { method: 'GET', path: '/containers/{id}/top', handle: top },
  { method: 'GET', path: '/containers/{id}/changes', handle: changes },
  { method: 'GET', path: '/containers/{id}/stats', handle: stats },
  { method: 'DELETE', path: '/containers/{id}', handle: remove },
];
