import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';

async function explain(exchange: Exchange): Promise<void> {
  const { engine, query, signal } = exchange;
  const name = exchange.parameter('name');
  const path = query.text('path');
  exchange.send(
    200,
    path === ''
      ? await engine.images.explainSize(name, signal)
      : await engine.images.explainPath(name, path, signal),
  );
}

function layers(exchange: Exchange): void {
  exchange.send(200, exchange.engine.images.layers(exchange.parameter('name')));
}

async function check(exchange: Exchange): Promise<void> {
  const { engine, query, signal } = exchange;
  exchange.send(200, await engine.system.check({ repair: query.flag('repair'), signal }));
}

/** What Docker's API has no word for; under a prefix of our own so that it never will. */
export const explainRoutes: readonly Route[] = [
  { method: 'GET', path: '/varve/images/{name...}/explain', handle: explain },
  { method: 'GET', path: '/varve/images/{name...}/layers', handle: layers },
  { method: 'POST', path: '/varve/system/check', handle: check },
];
