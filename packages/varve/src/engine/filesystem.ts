import type { Readable } from 'node:stream';
import { type Change, packTree } from '../layer/index.ts';
import { type EngineCore, publishContainer } from './core.ts';

/** What the runtime puts in place to mount upon: Docker keeps these in a layer of their own, out of every diff. */
export const runtimeMade: readonly string[] = [
  '/.dockerenv',
  '/dev',
  '/dev/console',
  '/dev/pts',
  '/dev/shm',
  '/etc/hostname',
  '/etc/hosts',
  '/etc/mtab',
  '/etc/resolv.conf',
  '/proc',
  '/sys',
];

/** Takes the runtime's own additions out, and folders that changed for nothing else. */
export function withoutRuntimeMade(changes: readonly Change[]): Change[] {
  const own = (change: Change): boolean => change.kind !== 'delete' && runtimeMade.includes(change.path);
  const left = changes.filter((change) => !own(change));
  return left.filter(({ path, kind }) => {
    const below = (change: Change): boolean => change.path.startsWith(`${path}/`);
    const onlyOwn = kind === 'modify' && changes.some((change) => below(change) && own(change));
    return !onlyOwn || left.some(below);
  });
}

/** What the container changed in its image, sorted by path. */
export async function containerChanges(core: EngineCore, nameOrId: string): Promise<Change[]> {
  const container = core.containers.resolve(nameOrId);
  return withoutRuntimeMade(await core.driver.changes(container.id));
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
