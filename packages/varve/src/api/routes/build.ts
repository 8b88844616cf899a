import { z } from 'zod';
import { VarveError } from '../../base/index.ts';
import { legacyProgress } from '../../builder/index.ts';
import { parseDocument } from '../create-body.ts';
import type { Exchange } from '../exchange.ts';
import type { Query } from '../query.ts';
import { registryConfig } from '../registry-auth.ts';
import type { Route } from '../route.ts';

const text = z.record(z.string(), z.string().nullable());
const ulimits = z.array(z.object({ Name: z.string(), Soft: z.number(), Hard: z.number() }));

/** Not given, or a JSON document of a shape; lists come as `null` or `{}` from some clients when empty. */
function jsonParameter<S extends z.ZodType>(
  query: Query,
  name: string,
  schema: S,
  fallback: z.output<S>,
): z.output<S> {
  const value = query.json(name);
  return value === undefined || value === null ? fallback : parseDocument(schema, value);
}

/** `cachefrom` is a JSON list; old clients send `[]`, an empty string or a bare name. */
function cacheFrom(query: Query): string[] {
  const value = query.text('cachefrom');
  if (!value.startsWith('[')) return value === '' ? [] : [value];
  return parseDocument(z.array(z.string()), query.json('cachefrom'));
}

function present(values: Readonly<Record<string, string | null>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null),
  );
}

async function build(exchange: Exchange): Promise<void> {
  const { engine, query, request } = exchange;
  if (query.text('remote') !== '') {
    throw new VarveError(
      'not-implemented',
      'REMOTE_CONTEXT',
      'building from a remote context is not supported',
      {
        hint: 'clone or download it and build from the folder',
      },
    );
  }
  if (query.text('version') === '2' || query.text('session') !== '') {
    throw new VarveError('not-implemented', 'NO_BUILDKIT', 'this engine has no BuildKit session API', {
      hint: 'build with DOCKER_BUILDKIT=0, or with `varve build`',
    });
  }
  const number = (name: string): number | undefined => query.integer(name) || undefined;
  const numbers = Object.fromEntries(
    (
      [
        ['shmSize', 'shmsize'],
        ['memory', 'memory'],
        ['memorySwap', 'memswap'],
        ['cpuShares', 'cpushares'],
        ['cpuPeriod', 'cpuperiod'],
        ['cpuQuota', 'cpuquota'],
      ] as const
    )
      .map(([key, name]) => [key, number(name)] as const)
      .filter(([, value]) => value !== undefined),
  );
  const labels = present(jsonParameter(query, 'labels', text, {}));
  const limits = jsonParameter(query, 'ulimits', ulimits, []);
  const events = engine.images.build(exchange.body(), {
    dockerfile: { path: query.text('dockerfile') || 'Dockerfile' },
    tags: query.all('t').filter((tag) => tag !== ''),
    buildArgs: jsonParameter(query, 'buildargs', text, {}),
    labels,
    noCache: query.flag('nocache'),
    cacheFrom: cacheFrom(query),
    pull: query.flag('pull'),
    extraHosts: query
      .all('extrahosts')
      .flatMap((hosts) => hosts.split(','))
      .filter((host) => host !== ''),
    ...(query.text('target') === '' ? {} : { target: query.text('target') }),
    ...(query.text('platform') === '' ? {} : { platform: query.text('platform') }),
    ...(query.text('networkmode') === '' ? {} : { networkMode: query.text('networkmode') }),
    ...(query.text('cpusetcpus') === '' ? {} : { cpusetCpus: query.text('cpusetcpus') }),
    ...(query.text('cpusetmems') === '' ? {} : { cpusetMems: query.text('cpusetmems') }),
    ...numbers,
    ulimits: limits.map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard })),
    credentials: registryConfig(request.headers['x-registry-config']),
    signal: exchange.signal,
  });
  let begun = false;
  for await (const line of legacyProgress(events, { quiet: query.flag('q') })) {
    if (!begun) exchange.begin('application/json');
    begun = true;
    if (!(await exchange.write(line))) break;
  }
  if (!begun) exchange.begin('application/json');
  exchange.response.end();
}

async function prune(exchange: Exchange): Promise<void> {
  const { deleted, bytes } = await exchange.engine.images.pruneBuildCache();
  exchange.send(200, { CachesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: bytes });
}

export const buildRoutes: readonly Route[] = [
  { method: 'POST', path: '/build', handle: build },
  { method: 'POST', path: '/build/prune', handle: prune },
  {
    method: 'POST',
    path: '/build/cancel',
    handle: (exchange) => exchange.sendStatus(204),
  },
];
