import { VarveError } from '../../../base/index.ts';

/** Blocks used of how many. */
export interface Share {
  readonly used: number;
  readonly total: number;
}

/** What a thin pool says of itself. */
export interface PoolStatus {
  readonly transaction: number;
  readonly metadata: Share;
  readonly data: Share;
  /** `rw`, or what became of it. */
  readonly mode: 'rw' | 'ro' | 'out_of_data_space';
  /** Its tables were found damaged and must be checked with thin_check(8). */
  readonly needsCheck: boolean;
}

/**
 * Reads the state of a thin pool, as its target prints it (the kernel's thin-provisioning.rst, "Status").
 * @throws VarveError `unavailable` when the pool has failed.
 */
export function parsePoolStatus(name: string, text: string): PoolStatus {
  const fields = text.split(' ');
  const share = (field: string | undefined): Share => {
    const [used, total] = (field ?? '').split('/').map(Number);
    return { used: used ?? Number.NaN, total: total ?? Number.NaN };
  };
  const status = { transaction: Number(fields[0]), metadata: share(fields[1]), data: share(fields[2]) };
  const mode = fields[4];
  const isWhole = [
    status.transaction,
    status.metadata.used,
    status.metadata.total,
    status.data.used,
    status.data.total,
  ].every(Number.isSafeInteger);
  if (!isWhole || (mode !== 'rw' && mode !== 'ro' && mode !== 'out_of_data_space')) {
    throw new VarveError('unavailable', 'POOL_FAILED', `the thin pool ${name} has failed (${text})`, {
      subject: name,
      hint: 'look into the kernel log, then check and repair it with thin_check(8) and thin_repair(8)',
    });
  }
  return { ...status, mode, needsCheck: fields.includes('needs_check') };
}

/** Sectors that a thin volume has of its own or shares; its target prints them first, or `Fail`. */
export function parseMappedSectors(text: string): number {
  const sectors = Number(text.split(' ')[0]);
  return Number.isSafeInteger(sectors) ? sectors : 0;
}

/** Data and metadata devices of a thin pool's table, and the sectors of its blocks. */
export interface PoolTable {
  readonly metadata: string;
  readonly data: string;
  readonly blockSectors: number;
}

export function parsePoolTable(parameters: string): PoolTable {
  const [metadata = '', data = '', sectors] = parameters.split(' ');
  return { metadata, data, blockSectors: Number(sectors) };
}

/**
 * Why no volume may be made now, in dockerd's words; undefined when there is room.
 * @param percent that must be free, of data and of metadata.
 */
export function shortage(status: PoolStatus, percent: number): string | undefined {
  for (const [name, { used, total }] of [
    ['data', status.data],
    ['metadata', status.metadata],
  ] as const) {
    const free = total - used;
    const least = Math.ceil((total * percent) / 100);
    if (free < least || free === 0) {
      return (
        `devmapper: Thin Pool has ${free} free ${name} blocks which is less than minimum required ${least} free ` +
        `${name} blocks. Create more free space in thin pool or use dm.min_free_space option to change behavior`
      );
    }
  }
  return undefined;
}
