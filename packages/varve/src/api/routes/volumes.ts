import {
  anyMatch,
  booleanFilter,
  checkFilters,
  type Filters,
  labelsMatch,
  nameMatches,
} from '../../engine/index.ts';
import { parseVolumeBody } from '../create-body.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';
import { apiVersion } from '../versions.ts';
import { volumeView } from '../views/volume-view.ts';

function list(exchange: Exchange): void {
  const { engine, query } = exchange;
  const filters = query.filters();
  checkFilters(filters, ['dangling', 'driver', 'label', 'name']);
  const dangling = booleanFilter(filters, 'dangling');
  const used = new Set(
    engine.core.containers.list().flatMap(({ record }) => record.mounts.map((mount) => mount.Name)),
  );
  const volumes = engine.core.volumes
    .list()
    .filter(
      (volume) =>
        (dangling === undefined || dangling !== used.has(volume.name)) &&
        anyMatch(filters, 'driver', (driver) => driver === volume.driver) &&
        anyMatch(filters, 'name', (name) => nameMatches(name, volume.name)) &&
        labelsMatch(filters, volume.labels),
    );
  exchange.send(200, { Volumes: volumes.map((volume) => volumeView(volume)), Warnings: null });
}

async function create(exchange: Exchange): Promise<void> {
  const body = parseVolumeBody(await exchange.json());
  const volume = await exchange.engine.volumes.create({
    ...(body.Name ? { name: body.Name } : {}),
    ...(body.Driver ? { driver: body.Driver } : {}),
    ...(body.DriverOpts ? { options: body.DriverOpts } : {}),
    ...(body.Labels ? { labels: body.Labels } : {}),
  });
  exchange.send(201, volumeView(volume));
}

function inspect(exchange: Exchange): void {
  exchange.send(200, volumeView(exchange.engine.core.volumes.get(exchange.parameter('name'))));
}

async function remove(exchange: Exchange): Promise<void> {
  await exchange.engine.volumes.remove(exchange.parameter('name'), { force: exchange.query.flag('force') });
  exchange.sendStatus(204);
}

async function prune(exchange: Exchange): Promise<void> {
  const asked: Filters = exchange.query.filters();
  // Before 1.42 named volumes went too.
  const filters = exchange.version < apiVersion('1.42') ? { ...asked, all: ['true'] } : asked;
  const { deleted, bytes } = await exchange.engine.volumes.prune(filters);
  exchange.send(200, { VolumesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: bytes });
}

export const volumeRoutes: readonly Route[] = [
  { method: 'GET', path: '/volumes', handle: list },
  { method: 'POST', path: '/volumes/create', handle: create },
  { method: 'POST', path: '/volumes/prune', handle: prune },
  { method: 'GET', path: '/volumes/{name}', handle: inspect },
  { method: 'DELETE', path: '/volumes/{name}', handle: remove },
];
