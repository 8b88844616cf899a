import { statSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, VarveError } from '../../../base/index.ts';
import { type PoolOptions, sectorBytes } from './options.ts';
import { metadataBlockBytes } from './own-blocks.ts';
import type { Share } from './pool-status.ts';
import type { PoolRecord } from './records.ts';
import type { ThinPool } from './thin-pool.ts';

/** Docker's names, its file system `ext4` in place of statfs(2)'s. */
export function poolStatusPairs(
  folder: string,
  options: PoolOptions,
  record: PoolRecord | undefined,
  pool: ThinPool | undefined,
): readonly (readonly [string, string])[] {
  const size = (bytes: number): string => formatBytes(bytes, 4);
  const pairs: (readonly [string, string])[] = [
    ['Backing Filesystem', record?.base?.filesystem ?? options.filesystem],
  ];
  if (record) {
    pairs.push(
      ['Pool Name', record.name],
      ['Pool Blocksize', size(record.blockSectors * sectorBytes)],
      ['Base Device Size', size(record.base?.bytes ?? options.baseSize)],
    );
  }
  if (record && pool) pairs.push(...spacePairs(folder, options, record, pool));
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

/** A pool that has failed says so here; that must not keep the rest from being told. */
function spacePairs(
  folder: string,
  options: PoolOptions,
  record: PoolRecord,
  pool: ThinPool,
): readonly (readonly [string, string])[] {
  const size = (bytes: number): string => formatBytes(bytes, 4);
  const blockBytes = record.blockSectors * sectorBytes;
  try {
    const { data, metadata } = pool.statusSync();
    const devices = pool.tableSync();
    const space = (name: string, { used, total }: Share, unit: number): [string, string][] => [
      [`${name} Space Used`, size(used * unit)],
      [`${name} Space Total`, size(total * unit)],
      [`${name} Space Available`, size((total - used) * unit)],
    ];
    return [
      ['Data file', record.isExternal ? devices.data : join(folder, 'data')],
      ['Metadata file', record.isExternal ? devices.metadata : join(folder, 'metadata')],
      ...space('Data', data, blockBytes),
      ...space('Metadata', metadata, metadataBlockBytes),
      [
        'Thin Pool Minimum Free Space',
        size(Math.ceil((data.total * options.minFreePercent) / 100) * blockBytes),
      ],
    ];
  } catch (error) {
    return [['Pool Status', VarveError.from(error).message]];
  }
}
