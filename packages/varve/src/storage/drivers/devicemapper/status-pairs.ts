import { statSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../../../base/index.ts';
import { type PoolOptions, sectorBytes } from './options.ts';
import type { PoolRecord } from './records.ts';
import type { ThinPool } from './thin-pool.ts';

/** The kernel's tables of a pool are in blocks of this size, whatever its own. */
const metadataBlockBytes = 4096;

/** Docker's names, its file system `ext4` in place of statfs(2)'s. */
export function poolStatusPairs(
  folder: string,
  options: PoolOptions,
  record: PoolRecord | undefined,
  pool: ThinPool | undefined,
): readonly (readonly [string, string])[] {
  const size = (bytes: number): string => formatBytes(bytes, 4);
  const pairs: [string, string][] = [['Backing Filesystem', record?.base?.filesystem ?? options.filesystem]];
  if (record) {
    pairs.push(
      ['Pool Name', record.name],
      ['Pool Blocksize', size(record.blockSectors * sectorBytes)],
      ['Base Device Size', size(record.base?.bytes ?? options.baseSize)],
    );
  }
  if (record && pool) {
    const { data, metadata } = pool.statusSync();
    const blockBytes = record.blockSectors * sectorBytes;
    const devices = pool.tableSync();
    pairs.push(['Data file', record.isExternal ? devices.data : join(folder, 'data')]);
    pairs.push(['Metadata file', record.isExternal ? devices.metadata : join(folder, 'metadata')]);
    for (const [name, { used, total }, unit] of [
      ['Data', data, blockBytes],
      ['Metadata', metadata, metadataBlockBytes],
    ] as const) {
      pairs.push([`${name} Space Used`, size(used * unit)]);
      pairs.push([`${name} Space Total`, size(total * unit)]);
      pairs.push([`${name} Space Available`, size((total - used) * unit)]);
    }
    pairs.push([
      'Thin Pool Minimum Free Space',
      size(Math.ceil((data.total * options.minFreePercent) / 100) * blockBytes),
    ]);
  }
  pairs.push(['Udev Sync Supported', 'false']);
  pairs.push(['Deferred Removal Enabled', String(options.defersRemoval)]);
  pairs.push(['Deferred Deletion Enabled', String(options.defersDeletion)]);
  if (record && !record.isExternal) {
    const allocated = (name: string): string => size(statSync(join(folder, name)).blocks * sectorBytes);
    pairs.push(
      ['Data Loop Allocated', allocated('data')],
      ['Metadata Loop Allocated', allocated('metadata')],
    );
  }
  return pairs;
}
