import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DeviceMapper } from '../../../linux/index.ts';
import type { PoolOptions } from './options.ts';
import { poolFile, readPool, readVolume, type Volume } from './records.ts';
import { ThinPool } from './thin-pool.ts';

/**
 * Ends the devices of a folder's pool, whose loop devices end with them. An administrator's pool goes on, without the volumes
 * that were made in it. The record goes last: later, the pool's volumes may be another's.
 */
export async function destroyPool(folder: string, options: PoolOptions): Promise<void> {
  const record = readPool(folder);
  if (!record) return;
  using mapper = new DeviceMapper();
  if (record.isExternal) {
    const { pool } = await ThinPool.open(folder, options, mapper, () => true);
    for (const volume of volumesIn(folder)) await pool.remove(volume);
    if (record.base) await pool.remove(record.base);
    await pool.close();
  } else {
    await ThinPool.end(folder, options, mapper, record);
  }
  rmSync(join(folder, poolFile));
}

/** Of snapshots, of those being made, and of those being deleted. */
function* volumesIn(folder: string): Iterable<Volume> {
  for (const place of [folder, join(folder, 'staging'), join(folder, 'trash')]) {
    if (!existsSync(place)) continue;
    for (const entry of readdirSync(place, { withFileTypes: true })) {
      const volume = entry.isDirectory() ? readVolume(join(place, entry.name)) : undefined;
      if (volume) yield volume;
    }
  }
}
