import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { syncFolder, VarveError } from '../../../base/index.ts';
import {
  attachLoop,
  type DeviceMapper,
  decodeTable,
  deviceCommand,
  type TableLine,
} from '../../../linux/index.ts';
import { findDevice, startDevice } from './device.ts';
import { type PoolOptions, sectorBytes } from './options.ts';
import { type PoolStatus, type PoolTable, parsePoolStatus, parsePoolTable } from './pool-status.ts';
import { type PoolRecord, readPool, writePool } from './records.ts';

/** Starts the pool of a folder that has one, or makes one. */
export async function startPool(
  folder: string,
  options: PoolOptions,
  mapper: DeviceMapper,
): Promise<PoolRecord> {
  const record = readPool(folder) ?? (await establish(folder, options, mapper));
  if (record.isExternal) await requirePool(mapper, record.name);
  else await startOwnPool(folder, options, mapper, record);
  return record;
}

/** What a pool says of itself. @throws VarveError `unavailable` when it has failed. */
export async function readStatus(mapper: DeviceMapper, name: string): Promise<PoolStatus> {
  const [line] = decodeTable(await mapper.run(deviceCommand.tableStatus(name)));
  return parsePoolStatus(name, line?.parameters ?? '');
}

/** The first use of a folder: makes the loop files, or takes over the administrator's pool. */
async function establish(folder: string, options: PoolOptions, mapper: DeviceMapper): Promise<PoolRecord> {
  const { pool, blockSectors, dataSize, metadataSize } = options;
  if (pool !== undefined) {
    const table = await requirePool(mapper, pool);
    const { transaction, data } = await readStatus(mapper, pool);
    if (transaction !== 0 || data.used !== 0) {
      throw new VarveError(
        'conflict',
        'POOL_NOT_EMPTY',
        `devmapper: Unable to take ownership of thin-pool (${pool}) that already has used data blocks`,
        { subject: pool },
      );
    }
    const record = { name: pool, isExternal: true, blockSectors: table.blockSectors, base: undefined };
    writePool(folder, record);
    return record;
  }
  for (const [name, size] of [
    ['data', dataSize],
    ['metadata', metadataSize],
  ] as const) {
    // Without a record nobody has used what a dead process may have left.
    rmSync(join(folder, name), { force: true });
    const fd = openSync(join(folder, name), 'wx', 0o600);
    try {
      ftruncateSync(fd, size);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
  syncFolder(folder);
  const name = `varve-${randomBytes(8).toString('hex')}-pool`;
  const record = { name, isExternal: false, blockSectors, base: undefined };
  writePool(folder, record);
  return record;
}

async function requirePool(mapper: DeviceMapper, name: string): Promise<PoolTable> {
  const found = await findDevice(mapper, name);
  const [line] = found ? decodeTable(await mapper.run(deviceCommand.table(name))) : [];
  if (line?.type === 'thin-pool') return parsePoolTable(line.parameters);
  throw new VarveError('unavailable', 'NO_POOL', `the thin pool ${name} is not there`, {
    subject: name,
    hint: 'start it, e.g. with lvchange(8) or dmsetup(8)',
  });
}

/** Starts the pool over the loop files. The loop devices end with it, or with this process if it fails before. */
async function startOwnPool(
  folder: string,
  options: PoolOptions,
  mapper: DeviceMapper,
  record: PoolRecord,
): Promise<void> {
  const data = join(folder, 'data');
  const running = await findDevice(mapper, record.name);
  if (!existsSync(data)) {
    throw new VarveError('data-loss', 'POOL_FILE_MISSING', `${data} is missing`, { subject: data });
  }
  if (!running?.isActive && options.growsData) grow(data, options.dataSize);
  using dataLoop = attachLoop(data);
  using metadataLoop = attachLoop(join(folder, 'metadata'));
  const table: TableLine = {
    start: 0,
    length: wholeBlocks(statSync(data).size / sectorBytes, record.blockSectors),
    type: 'thin-pool',
    // Full means ENOSPC at once, not a minute of waiting for somebody to enlarge it.
    parameters: [
      loopNumber(metadataLoop.path),
      loopNumber(dataLoop.path),
      record.blockSectors,
      lowWaterBlocks,
      1,
      'error_if_no_space',
    ].join(' '),
  };
  await startDevice(mapper, record.name, table);
  if (!running?.isActive) return;
  const own = await requirePool(mapper, record.name);
  if (own.data === loopNumber(dataLoop.path)) return;
  throw new VarveError('conflict', 'POOL_TAKEN', `the thin pool ${record.name} lies on other files`, {
    subject: record.name,
    hint: `another data root is a copy of this one; one of the two can run`,
  });
}

/** The kernel tells of it with an event that nobody here waits for. */
const lowWaterBlocks = 64;

const wholeBlocks = (sectors: number, block: number): number => Math.floor(sectors / block) * block;

/** dm.loopdatasize can be raised; the pool takes the new room when it starts. */
function grow(file: string, bytes: number): void {
  if (statSync(file).size >= bytes) return;
  const fd = openSync(file, 'r+');
  try {
    ftruncateSync(fd, bytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function loopNumber(path: string): string {
  const { rdev } = statSync(path);
  return `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`;
}
