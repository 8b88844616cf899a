import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';

async function inspect(exchange: Exchange): Promise<void> {
  const { engine, credentials, signal } = exchange;
  const { descriptor, platforms } = await engine.images.inspectRemote(exchange.parameter('name'), {
    signal,
    ...(credentials ? { credentials } : {}),
  });
  exchange.send(200, { Descriptor: descriptor, Platforms: platforms });
}

export const distributionRoutes: readonly Route[] = [
  { method: 'GET', path: '/distribution/{name...}/json', handle: inspect },
];
