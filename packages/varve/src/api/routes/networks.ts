import { VarveError } from '../../base/index.ts';
import {
  anyMatch,
  booleanFilter,
  checkFilters,
  type EndpointSettings,
  type Engine,
  type Filters,
  labelsMatch,
  nameMatches,
} from '../../engine/index.ts';
import type { Network } from '../../network/index.ts';
import { parseConnectBody, parseNetworkBody } from '../create-body.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';
import { networkView } from '../views/network-view.ts';

const predefined = ['bridge', 'host', 'none'];

function matches(engine: Engine, network: Network, filters: Filters): boolean {
  const dangling = booleanFilter(filters, 'dangling');
  if (dangling !== undefined) {
    const used =
      predefined.includes(network.name) ||
      engine.core.containers.list().some(({ record }) => record.networks[network.name] !== undefined);
    if (dangling === used) return false;
  }
  return (
    anyMatch(filters, 'driver', (driver) => driver === network.driver) &&
    anyMatch(filters, 'id', (id) => network.id.startsWith(id)) &&
    anyMatch(filters, 'name', (name) => nameMatches(name, network.name)) &&
    anyMatch(filters, 'scope', (scope) => scope === 'local') &&
    anyMatch(filters, 'type', (type) => (type === 'builtin') === predefined.includes(network.name)) &&
    labelsMatch(filters, network.labels)
  );
}

function list(exchange: Exchange): void {
  const { engine, query } = exchange;
  const filters = query.filters();
  checkFilters(filters, ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']);
  exchange.send(
    200,
    engine.core.networks
      .list()
      .filter((network) => matches(engine, network, filters))
      .map((network) => networkView(engine, network, { containers: false })),
  );
}

function inspect(exchange: Exchange): void {
  const { engine } = exchange;
  const scope = exchange.query.text('scope');
  const name = exchange.parameter('id');
  if (scope !== '' && scope !== 'local') {
    throw new VarveError('not-found', 'NO_SUCH_NETWORK', `network ${name} not found`, { subject: name });
  }
  exchange.send(200, networkView(engine, engine.core.networks.inspect(name), { containers: true }));
}

async function create(exchange: Exchange): Promise<void> {
  const body = parseNetworkBody(await exchange.json());
  const [first] = body.IPAM?.Config ?? [];
  if (body.Ingress || body.Scope === 'swarm') {
    throw new VarveError('forbidden', 'NO_SWARM', 'this network needs a swarm, and this engine is in none');
  }
  const network = await exchange.engine.networks.create({
    name: body.Name,
    ...(body.Driver ? { driver: body.Driver } : {}),
    ...(body.Internal === undefined ? {} : { internal: body.Internal }),
    ...(body.Attachable === undefined ? {} : { attachable: body.Attachable }),
    ...(body.EnableIPv6 === undefined ? {} : { enableIPv6: body.EnableIPv6 }),
    ...(first?.Subnet ? { subnet: first.Subnet } : {}),
    ...(first?.Gateway ? { gateway: first.Gateway } : {}),
    ...(first?.IPRange ? { ipRange: first.IPRange } : {}),
    options: body.Options ?? {},
    labels: body.Labels ?? {},
  });
  exchange.send(201, { Id: network.id, Warning: '' });
}

async function remove(exchange: Exchange): Promise<void> {
  await exchange.engine.networks.remove(exchange.parameter('id'));
  exchange.sendStatus(204);
}

async function connect(exchange: Exchange): Promise<void> {
  const body = parseConnectBody(await exchange.json());
  await exchange.engine.networks.connect(
    exchange.parameter('id'),
    body.Container,
    (body.EndpointConfig ?? null) as Partial<EndpointSettings> | null,
  );
  exchange.sendStatus(200);
}

async function disconnect(exchange: Exchange): Promise<void> {
  const body = parseConnectBody(await exchange.json());
  await exchange.engine.networks.disconnect(exchange.parameter('id'), body.Container);
  exchange.sendStatus(200);
}

async function prune(exchange: Exchange): Promise<void> {
  const deleted = await exchange.engine.networks.prune(exchange.query.filters());
  exchange.send(200, { NetworksDeleted: deleted.length > 0 ? deleted : null });
}

export const networkRoutes: readonly Route[] = [
  { method: 'GET', path: '/networks', handle: list },
  { method: 'POST', path: '/networks/create', handle: create },
  { method: 'POST', path: '/networks/prune', handle: prune },
  { method: 'GET', path: '/networks/{id}', handle: inspect },
  { method: 'POST', path: '/networks/{id}/connect', handle: connect },
  { method: 'POST', path: '/networks/{id}/disconnect', handle: disconnect },
  { method: 'DELETE', path: '/networks/{id}', handle: remove },
];
