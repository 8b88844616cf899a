import { VarveError } from '../../base/index.ts';
import type { CheckProgress } from '../../engine/index.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';

/** Milliseconds between two lines of progress. */
const progressInterval = 100;

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

/** With `progress` a stream of lines: `{"progress": …}` while it goes on, `{"report": …}` or `{"error": …}` at the end. */
async function check(exchange: Exchange): Promise<void> {
  const { engine, query, signal } = exchange;
  const options = { repair: query.flag('repair'), signal };
  if (!query.flag('progress')) {
    exchange.send(200, await engine.system.check(options));
    return;
  }
  exchange.begin('application/json');
  let last = 0;
  const onProgress = (progress: CheckProgress): void => {
    // What nobody can read does not have to be sent.
    if (performance.now() - last < progressInterval) return;
    last = performance.now();
    void exchange.line({ progress });
  };
  try {
    await exchange.line({ report: await engine.system.check({ ...options, onProgress }) });
  } catch (error) {
    await exchange.line({ error: VarveError.from(error).message });
  }
  exchange.response.end();
}

/** What Docker's API has no word for; under a prefix of our own so that it never will. */
export const explainRoutes: readonly Route[] = [
  { method: 'GET', path: '/varve/images/{name...}/explain', handle: explain },
  { method: 'GET', path: '/varve/images/{name...}/layers', handle: layers },
  { method: 'POST', path: '/varve/system/check', handle: check },
];
