import { createReadStream, rmSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type Change, writeLayer } from '../layer/index.ts';
import { type EngineCore, publishContainer } from './core.ts';

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
  return core.driver.changes(container.id);
}

/** The whole file system as a tar, without what is mounted into it (`docker export`). */
export async function exportContainer(
  core: EngineCore,
  nameOrId: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Readable> {
  const container = core.containers.resolve(nameOrId);
  const path = core.content.temporaryPath();
  // Written to a file first: a slow client must not hold the container's mount, and a failure is an error, not half a tar.
  await withRootfs(core, container.id, (rootfs) =>
    writeLayer({ kind: 'trees', upper: rootfs }, path, 'none', options),
  );
  publishContainer(core, container, 'export');
  const stream = createReadStream(path);
  stream.once('close', () => rmSync(path, { force: true }));
  return stream;
}
