import { VarveError } from '../../base/index.ts';
import type { Method, Route } from '../route.ts';

const noSwarm = (): never => {
  throw new VarveError(
    'unavailable',
    'NO_SWARM',
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
};

const noBuildkit = (): never => {
  throw new VarveError('not-implemented', 'NO_BUILDKIT', 'this engine has no BuildKit session API', {
    hint: 'build with DOCKER_BUILDKIT=0, or with `varve build`',
  });
};

function group(names: readonly string[], methods: readonly Method[], handle: Route['handle']): Route[] {
  return names.flatMap((name) => methods.map((method) => ({ method, path: name, handle })));
}

/** Parts of Docker's API that this engine does not have, answered as dockerd answers without a swarm or plugins. */
export const absentRoutes: readonly Route[] = [
  ...group(
    ['/swarm', '/nodes', '/services', '/tasks', '/secrets', '/configs'].flatMap((name) => [
      name,
      `${name}/{rest...}`,
    ]),
    ['GET', 'POST', 'DELETE'],
    noSwarm,
  ),
  { method: 'GET', path: '/plugins', handle: (exchange) => exchange.send(200, []) },
  { method: 'POST', path: '/session', handle: noBuildkit },
  { method: 'POST', path: '/grpc', handle: noBuildkit },
];
