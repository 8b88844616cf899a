import { mkdtempSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import { FilesystemSync, type MountAttributes, unmountInBackground } from '../../../linux/index.ts';
import { mountVolume, type VolumeMount } from './mount-volume.ts';
import type { Volume } from './records.ts';
import type { ThinPool } from './thin-pool.ts';

export interface UsedVolume extends Volume, Pick<VolumeMount, 'filesystem' | 'options'> {}

/** Mounts a volume in a new folder below `folder`, does something in it, and has that on disk afterwards. */
export async function withVolume<T>(
  pool: ThinPool,
  folder: string,
  volume: UsedVolume,
  work: (root: string) => Promise<T> | T,
): Promise<T> {
  return await mounted(pool, folder, { ...volume, isCommitted: false }, {}, async (root) => {
    using watch = new FilesystemSync(root);
    const result = await work(root);
    await watch.sync();
    return result;
  });
}

/**
 * Shows a volume, mounted elsewhere or not, to somebody who only reads.
 * @param volume.isCommitted that nobody may change it, so that even its file system is mounted read-only.
 */
export async function viewVolume<T>(
  pool: ThinPool,
  folder: string,
  volume: UsedVolume & Pick<VolumeMount, 'isCommitted'>,
  work: (root: string) => Promise<T> | T,
): Promise<T> {
  return await mounted(pool, folder, volume, { readOnly: true }, work);
}

async function mounted<T>(
  pool: ThinPool,
  folder: string,
  volume: UsedVolume & Pick<VolumeMount, 'isCommitted'>,
  attributes: MountAttributes,
  work: (root: string) => Promise<T> | T,
): Promise<T> {
  const target = mkdtempSync(join(folder, 'view-'));
  try {
    await attachVolume(pool, volume, target, attributes);
    try {
      return await work(target);
    } finally {
      await unmountInBackground(target, { detach: true });
      await pool.exclusive(() => pool.release(volume));
    }
  } finally {
    rmdirSync(target);
  }
}

/** Starts a volume's device and mounts it; whoever unmounts it releases it. */
export async function attachVolume(
  pool: ThinPool,
  volume: UsedVolume & Pick<VolumeMount, 'isCommitted'>,
  target: string,
  attributes: MountAttributes,
): Promise<void> {
  await pool.exclusive(async () => {
    const { node } = await pool.acquire(volume);
    try {
      try {
        mountVolume({ ...volume, node }, target, attributes);
      } catch (error) {
        // A file that is still open keeps the file system mounted the other way.
        if (!VarveError.is(error) || error.code !== 'EBUSY') throw error;
        mountVolume({ ...volume, node, isCommitted: !volume.isCommitted }, target, attributes);
      }
    } catch (error) {
      await pool.release(volume);
      throw error;
    }
  });
}
