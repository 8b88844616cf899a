import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import { mount, mountFlags, unmount } from '../linux/index.ts';
import type { EngineCore } from './core.ts';
import { containerFolder } from './folders.ts';
import { sharedContainer } from './network-settings.ts';
import type { ContainerRecord } from './types.ts';

function folder(core: EngineCore, id: string): string {
  return join(containerFolder(core, id), 'shm');
}

/**
 * Makes the shared memory of a container that lets others join its IPC: POSIX shared memory is the mount at /dev/shm
 * (shm_overview(7)), so the mount must be one that both can see.
 */
export function mountSharedMemory(core: EngineCore, record: ContainerRecord): void {
  if (record.hostConfig.IpcMode !== 'shareable') return;
  const path = folder(core, record.id);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const flags = mountFlags.noSuid | mountFlags.noDev | mountFlags.noExec;
  mount('shm', path, 'tmpfs', flags, `mode=1777,size=${record.hostConfig.ShmSize}`);
}

/** Takes it away. Nothing happens when there is none. */
export function unmountSharedMemory(core: EngineCore, record: ContainerRecord): void {
  if (record.hostConfig.IpcMode === 'shareable') unmount(folder(core, record.id), { detach: true });
}

/**
 * The host folder that becomes a container's /dev/shm; undefined for one of its own.
 * @throws VarveError `invalid` when it wants to join a container that does not share.
 */
export function sharedMemory(core: EngineCore, record: ContainerRecord): string | undefined {
  const mode = record.hostConfig.IpcMode;
  if (mode === 'host') return '/dev/shm';
  if (mode === 'shareable') return folder(core, record.id);
  const other = sharedContainer(mode);
  if (other === undefined) return undefined;
  const donor = core.containers.resolve(other);
  if (donor.record.hostConfig.IpcMode === 'shareable') return folder(core, donor.id);
  throw new VarveError(
    'invalid',
    'IPC_NOT_SHAREABLE',
    `cannot join IPC of container ${donor.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    { subject: other },
  );
}
