import type { Readable } from 'node:stream';
import { type Change, packTree } from '../layer/index.ts';
import { type EngineCore, publishContainer } from './core.ts';

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
  const rootfs = await core.driver.mount(container.id);
  const archive = packTree(rootfs, [{ path: '', name: '' }], options);
  archive.once('close', () => {
    core.driver
      .unmount(container.id)
      .catch((error: unknown) =>
        core.log('warn', 'could not unmount after an export', { error: String(error) }),
      );
  });
  publishContainer(core, container, 'export');
  return archive;
}
