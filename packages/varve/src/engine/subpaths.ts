import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import {
  errno,
  fileType,
  mount,
  mountFlags,
  openat2,
  openFlags,
  resolveFlags,
  statFd,
  unmount,
} from '../linux/index.ts';
import type { EngineCore } from './core.ts';
import { containerFolder } from './folders.ts';
import type { ContainerRecord, MountPoint } from './types.ts';

function folder(core: Pick<EngineCore, 'root'>, id: string): string {
  return join(containerFolder(core, id), 'subpaths');
}

/** The part of a volume that a mount names; undefined for a whole volume and other mounts. */
export function subpathOf(mount: MountPoint): string | undefined {
  return mount.Type === 'volume' ? mount.spec?.VolumeOptions?.Subpath || undefined : undefined;
}

/** Opens what a subpath names. The volume's users write its links, so none may lead out of it (CVE-2017-1002101). */
function openSubpath(mount: MountPoint, subpath: string): number {
  const root = openSync(mount.Source, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const fd = openat2(root, subpath, openFlags.path, 0, resolveFlags.beneath | resolveFlags.noMagicLinks);
    if (fd >= 0) return fd;
    const why =
      fd === -errno.ENOENT
        ? 'no such file or directory'
        : fd === -errno.EXDEV
          ? 'it leads out of the volume'
          : 'it cannot be opened';
    throw new VarveError(
      'invalid',
      'INVALID_SUBPATH',
      `cannot access path ${subpath} of volume ${mount.Name}: ${why}`,
      { subject: subpath },
    );
  } finally {
    closeSync(root);
  }
}

/**
 * Binds what subpaths name to places of the container's own, which the runtime can name without a link on the way.
 * The volumes are mounted.
 * @throws VarveError `invalid` for a subpath that is missing or leads out of its volume.
 */
export function mountSubpaths(core: EngineCore, record: ContainerRecord): void {
  for (const [index, point] of record.mounts.entries()) {
    const subpath = subpathOf(point);
    if (subpath === undefined) continue;
    const fd = openSubpath(point, subpath);
    try {
      const stat = statFd(fd);
      const isFolder = typeof stat !== 'number' && (stat.mode & fileType.mask) === fileType.directory;
      const target = join(folder(core, record.id), String(index));
      mkdirSync(isFolder ? target : folder(core, record.id), { recursive: true, mode: 0o700 });
      if (!isFolder) writeFileSync(target, '');
      mount(`/proc/self/fd/${fd}`, target, null, mountFlags.bind | mountFlags.recursive);
    } finally {
      closeSync(fd);
    }
  }
}

/** Where {@link mountSubpaths} has put a mount of the record; undefined for one without a subpath. */
export function subpathSource(
  core: EngineCore,
  record: ContainerRecord,
  point: MountPoint,
): string | undefined {
  return subpathOf(point) === undefined
    ? undefined
    : join(folder(core, record.id), String(record.mounts.indexOf(point)));
}

/** Takes the places of a container away, before anything removes its folder with all below. */
export function unmountSubpaths(core: Pick<EngineCore, 'root'>, id: string): void {
  const path = folder(core, id);
  let names: string[];
  try {
    names = readdirSync(path);
  } catch {
    return;
  }
  for (const name of names) unmount(join(path, name), { detach: true });
  rmSync(path, { recursive: true, force: true });
}
