import { rmSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Change } from '../layer/index.ts';
import type { EngineCore } from './core.ts';

/** Runs `work` with the container's root file system mounted, running or not. */
export async function withRootfs<T>(
  core: EngineCore,
  id: string,
  work: (rootfs: string) => Promise<T>,
): Promise<T> {
  const rootfs = await core.driver.mount(id);
  try {
    return await work(rootfs);
  } finally {
    await core.driver.unmount(id);
  }
}

/** What the container changed in its image, sorted by path. */
export async function containerChanges(core: EngineCore, nameOrId: string): Promise<Change[]> {
  const container = core.containers.resolve(nameOrId);
  const mountPoints = new Set(['/etc/hostname', '/etc/hosts', '/etc/resolv.conf', '/dev', '/proc', '/sys']);
  const changes = await core.driver.changes(container.id);
  // What the runtime makes to mount upon is not the container's doing.
  return changes.filter((change) => !mountPoints.has(change.path) || change.kind === 'delete');
}

/** Removes a file when its stream is over, however it ends. */
export function removeAfter(stream: Readable, path: string): Readable {
  stream.once('close', () => rmSync(path, { force: true }));
  return stream;
}
