import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError, writeFileAtomic } from '../../../base/index.ts';
import type { VolumeFilesystem } from './options.ts';

/** A thin volume of the pool. */
export interface Volume {
  /** Its number in the pool, 24 bits. */
  readonly deviceId: number;
  readonly bytes: number;
}

/** The volume that every bottom layer starts from, with an empty file system. */
export interface BaseVolume extends Volume {
  readonly filesystem: VolumeFilesystem;
}

/** `pool.json`: what the pool of a data root is. */
export interface PoolRecord {
  /** Of its device. */
  readonly name: string;
  /** Made by the administrator: not ours to start and stop. */
  readonly isExternal: boolean;
  readonly blockSectors: number;
  /** Undefined until it is made. */
  readonly base: BaseVolume | undefined;
}

/**
 * `transaction.json`, written before a volume is made: the pool's transaction id becomes `opens` after. A pool that has an
 * older one does not hold the volume for sure.
 */
export interface Transaction {
  readonly opens: number;
  readonly deviceId: number;
  /** Folder of the snapshot it is for; `base` for the base. */
  readonly folder: string;
}

const version = 1;
/** In the driver's folder. */
export const poolFile = 'pool.json';
const transactionFile = 'transaction.json';
/** In a snapshot's folder. */
export const volumeFile = 'volume.json';

/** The text of a file as an object; undefined when there is no file. @throws VarveError `data-loss` when it is not ours. */
function read(path: string): Record<string, unknown> | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'version' in value && value.version === version) {
      return value;
    }
  } catch {
    // Said below.
  }
  throw unreadable(path);
}

function unreadable(path: string): VarveError {
  return new VarveError('data-loss', 'RECORD_UNREADABLE', `${path} cannot be read`, { subject: path });
}

function write(path: string, value: object): void {
  writeFileAtomic(path, `${JSON.stringify({ version, ...value })}\n`);
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function asVolume(value: unknown): Volume | undefined {
  const { deviceId, bytes } = (value ?? {}) as Record<string, unknown>;
  return isCount(deviceId) && isCount(bytes) ? { deviceId, bytes } : undefined;
}

export function readPool(folder: string): PoolRecord | undefined {
  const value = read(join(folder, poolFile));
  if (!value) return undefined;
  const { name, isExternal, blockSectors, base } = value;
  if (typeof name !== 'string' || typeof isExternal !== 'boolean' || !isCount(blockSectors)) {
    throw unreadable(join(folder, poolFile));
  }
  const volume = asVolume(base);
  const { filesystem } = (base ?? {}) as Record<string, unknown>;
  const isKnown = filesystem === 'ext4' || filesystem === 'xfs';
  return { name, isExternal, blockSectors, base: volume && isKnown ? { ...volume, filesystem } : undefined };
}

export function writePool(folder: string, record: PoolRecord): void {
  write(join(folder, poolFile), record);
}

export function readTransaction(folder: string): Transaction | undefined {
  const value = read(join(folder, transactionFile));
  if (!value) return undefined;
  const { opens, deviceId, folder: owner } = value;
  if (isCount(opens) && isCount(deviceId) && typeof owner === 'string') {
    return { opens, deviceId, folder: owner };
  }
  throw unreadable(join(folder, transactionFile));
}

export function writeTransaction(folder: string, transaction: Transaction): void {
  write(join(folder, transactionFile), transaction);
}

/** The volume of a snapshot's folder; undefined when it has none yet. */
export function readVolume(path: string): Volume | undefined {
  const value = read(join(path, volumeFile));
  if (!value) return undefined;
  const volume = asVolume(value);
  if (volume) return volume;
  throw unreadable(join(path, volumeFile));
}

export function writeVolume(path: string, volume: Volume): void {
  write(join(path, volumeFile), volume);
}
