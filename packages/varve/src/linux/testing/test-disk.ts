import { mkdtempSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** A small disk whose power can be cut: what was not synced is gone. */
export interface TestDisk extends Disposable {
  /** Where it is mounted. */
  readonly path: string;
  /** Stops every write at once, and starts again from what had reached the disk. */
  cut(): void;
}

const memory = '/dev/shm';
/** Bytes free in memory below which disks are kept on disk. */
const enough = 2 ** 31;

/** A new folder for a disk's file: in memory where there is plenty, since tests wait for their disks all the time. */
export function makeDiskFolder(): string {
  const { bavail, bsize } = statfsSync(memory);
  return mkdtempSync(join(bavail * bsize > enough ? memory : '/var/tmp', 'varve-disk-'));
}
