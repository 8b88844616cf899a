import type { DiffID } from '../../oci/index.ts';
import type { Limit } from '../quota/index.ts';
import type { SnapshotRecord } from './record.ts';

/** What unpacking a layer gave. */
export interface LayerSizes {
  readonly diffId: DiffID;
  readonly size: number;
  readonly tarSize: number;
}

/** What an active snapshot is to be. */
export interface FillOptions {
  /** Bytes that it may hold. */
  readonly size: number | undefined;
  /** To be called with the folders that hold what is written, while they are empty. Does nothing where `size` is undefined. */
  readonly limit: Limit;
}

/** What a driver wants to know of a layer later. */
export type LayerDetails = Pick<SnapshotRecord, 'plainRoot' | 'unsettled'>;
