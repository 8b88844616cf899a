import { VarveError } from '../base/index.ts';
import type { Volume, VolumeSpec } from '../volume/index.ts';
import type { EngineCore } from './core.ts';
import { booleanFilter, checkFilters, labelsMatch } from './filters.ts';
import type { Filters } from './types.ts';

/** Makes a volume, or gives the one of that name. */
export async function createVolume(core: EngineCore, request: VolumeSpec): Promise<Volume> {
  const known =
    request.name !== undefined && core.volumes.list().some((volume) => volume.name === request.name);
  const volume = await core.volumes.create(request);
  if (!known) core.events.publish('volume', 'create', volume.name, { driver: volume.driver });
  return volume;
}

/** Ids of containers that name a volume. */
function volumeUsers(core: EngineCore, name: string): string[] {
  return core.containers
    .list()
    .filter((container) => container.record.mounts.some((mount) => mount.Name === name))
    .map((container) => container.id);
}

/** @throws VarveError `conflict` `remove x: volume is in use - [id]`, `not-found` unless forced. */
export async function removeVolume(
  core: EngineCore,
  name: string,
  options: { readonly force?: boolean } = {},
): Promise<void> {
  await core.cleanups.settled();
  const users = volumeUsers(core, name);
  if (users.length > 0) {
    throw new VarveError(
      'conflict',
      'VOLUME_IN_USE',
      `remove ${name}: volume is in use - [${users.join(', ')}]`,
      { subject: name },
    );
  }
  const known = core.volumes.list().find((volume) => volume.name === name);
  if (!known && options.force) return;
  await core.volumes.remove(name, options);
  core.events.publish('volume', 'destroy', name, { driver: known?.driver ?? 'local' });
}

/** Removes anonymous volumes that nothing uses, with `all=true` named ones too. */
export async function pruneVolumes(
  core: EngineCore,
  filters: Filters = {},
): Promise<{ readonly deleted: readonly string[]; readonly bytes: number }> {
  checkFilters(filters, ['all', 'label', 'label!']);
  const all = booleanFilter(filters, 'all') === true;
  const deleted: string[] = [];
  let bytes = 0;
  for (const volume of core.volumes.list()) {
    if ((!all && !volume.anonymous) || volumeUsers(core, volume.name).length > 0) continue;
    if (!labelsMatch(filters, volume.labels)) continue;
    const size = await core.volumes.usage(volume.name).catch(() => 0);
    await removeVolume(core, volume.name);
    deleted.push(volume.name);
    bytes += size;
  }
  core.events.publish('volume', 'prune', '', { reclaimed: String(bytes) });
  return { deleted, bytes };
}
