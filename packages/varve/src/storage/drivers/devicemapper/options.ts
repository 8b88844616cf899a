import { parseBytes, VarveError } from '../../../base/index.ts';
import { parseBooleanOption, readStorageOptions, type StorageOption } from '../../options.ts';

export type VolumeFilesystem = 'ext4' | 'xfs';

/** What `--storage-opt dm.…` says, with dockerd's defaults where they are good ones. */
export interface PoolOptions {
  /** Bytes of a volume: what an image or container may hold. dm.basesize, 10G. */
  readonly baseSize: number;
  /** Whether dm.basesize was given: only then is an existing base grown. */
  readonly growsBase: boolean;
  /** Bytes of the loop file for data; it has holes. dm.loopdatasize, 100G. */
  readonly dataSize: number;
  /** Whether dm.loopdatasize was given: only then is an existing file grown. */
  readonly growsData: boolean;
  /** Bytes of the loop file for the pool's own tables. dm.loopmetadatasize, 2G. */
  readonly metadataSize: number;
  /** dm.fs, ext4. */
  readonly filesystem: VolumeFilesystem;
  /** More words for mkfs. dm.mkfsarg */
  readonly mkfsArguments: readonly string[];
  /** More options of mount. dm.mountopt */
  readonly mountOptions: readonly string[];
  /** Name of a thin pool that the administrator made. dm.thinpooldev */
  readonly pool: string | undefined;
  /** Whether a removed volume's blocks are discarded. dm.blkdiscard; by default where the pool lies in loop files. */
  readonly discards: boolean;
  /** Sectors of a block, the unit of allocation. dm.blocksize, 64K. */
  readonly blockSectors: number;
  /** Whether a busy device goes by itself later instead of failing the removal. dm.use_deferred_removal, true. */
  readonly defersRemoval: boolean;
  /** Likewise for the volume. dm.use_deferred_deletion, true. */
  readonly defersDeletion: boolean;
  /** Percent of the pool that must be free for a new volume. dm.min_free_space, 10%. */
  readonly minFreePercent: number;
}

export const sectorBytes = 512;

function bad(message: string, subject: string): VarveError {
  return new VarveError('invalid', 'INVALID_STORAGE_OPT', message, { subject });
}

function filesystem(value: string): VolumeFilesystem {
  if (value === 'ext4' || value === 'xfs') return value;
  throw bad(`devmapper: Unsupported filesystem ${value}`, value);
}

function words(value: string): string[] {
  return value.split(/\s+/).filter((word) => word !== '');
}

/** dm-thin takes 64 KiB to 1 GiB in steps of 64 KiB. */
function blockSectors(value: string): number {
  const bytes = parseBytes(value);
  const step = 64 * 1024;
  if (bytes >= step && bytes <= 2 ** 30 && bytes % step === 0) return bytes / sectorBytes;
  throw bad(`dm.blocksize must be a multiple of 64K between 64K and 1G: ${value}`, value);
}

function percent(value: string): number {
  const match = /^(\d+)%?$/.exec(value);
  const number = Number(match?.[1]);
  if (match && number < 100) return number;
  throw bad(`Invalid value ${value} for option dm.min_free_space`, value);
}

function poolName(value: string): string {
  const name = value.replace(/^\/dev\/mapper\//, '');
  if (/^[\w.:+-]{1,127}$/.test(name)) return name;
  throw bad(`dm.thinpooldev is not the name of a device: ${value}`, value);
}

function size(value: string): number {
  const bytes = parseBytes(value);
  if (bytes >= 2 ** 20) return Math.floor(bytes / sectorBytes) * sectorBytes;
  throw bad(`size is too small: ${value}`, value);
}

const readers = {
  'dm.basesize': size,
  'dm.loopdatasize': size,
  'dm.loopmetadatasize': size,
  'dm.fs': filesystem,
  'dm.mkfsarg': words,
  'dm.mountopt': (value: string): string[] => value.split(',').filter((option) => option !== ''),
  'dm.thinpooldev': poolName,
  'dm.blkdiscard': parseBooleanOption,
  'dm.blocksize': blockSectors,
  'dm.use_deferred_removal': parseBooleanOption,
  'dm.use_deferred_deletion': parseBooleanOption,
  'dm.min_free_space': percent,
} as const;

const gibibyte = 2 ** 30;

/**
 * Reads the driver's options.
 * @throws VarveError `invalid` for an unknown one, a value that makes no sense, or two that exclude each other.
 */
export function readPoolOptions(options: readonly StorageOption[]): PoolOptions {
  const read = readStorageOptions('devicemapper', options, readers);
  const pool = read['dm.thinpooldev'];
  const removal = read['dm.use_deferred_removal'] ?? true;
  const deletion = read['dm.use_deferred_deletion'] ?? removal;
  if (deletion && !removal) {
    throw bad('dm.use_deferred_deletion needs dm.use_deferred_removal', 'dm.use_deferred_deletion');
  }
  return {
    baseSize: read['dm.basesize'] ?? 10 * gibibyte,
    growsBase: read['dm.basesize'] !== undefined,
    dataSize: read['dm.loopdatasize'] ?? 100 * gibibyte,
    growsData: read['dm.loopdatasize'] !== undefined,
    metadataSize: read['dm.loopmetadatasize'] ?? 2 * gibibyte,
    filesystem: read['dm.fs'] ?? 'ext4',
    mkfsArguments: read['dm.mkfsarg'] ?? [],
    mountOptions: read['dm.mountopt'] ?? [],
    pool,
    discards: read['dm.blkdiscard'] ?? pool === undefined,
    blockSectors: read['dm.blocksize'] ?? (64 * 1024) / sectorBytes,
    defersRemoval: removal,
    defersDeletion: deletion,
    minFreePercent: read['dm.min_free_space'] ?? 10,
  };
}
