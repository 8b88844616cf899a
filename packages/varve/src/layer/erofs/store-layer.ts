import type { DiffID } from '../../oci/index.ts';
import { defaultLimits, type LayerLimits } from '../limits.ts';
import type { LayerSource } from '../types.ts';
import { workerPool } from '../worker/pool.ts';
import type { Settlement } from './settle-tree.ts';
import type { StoredLayer, StoreTarget } from './store-sync.ts';

export interface StoreOptions {
  readonly signal?: AbortSignal;
  readonly limits?: Partial<LayerLimits>;
}

/**
 * Stores a layer blob as its uncompressed tar and an EROFS index beside it, in a worker thread: `index` mounts with
 * `device=<tar>`. Both files are new; after a failure the caller removes them. Nothing is synced. The caller compares
 * `diffId` with the one it expects.
 * @throws VarveError `invalid` with a `TAR_…` or `COMPRESSION_…` code for a broken or hostile archive, `exhausted` when
 * the disk is full, `cancelled`.
 */
export async function storeLayer(
  source: LayerSource,
  target: StoreTarget,
  options: StoreOptions = {},
): Promise<StoredLayer> {
  const limits = { ...defaultLimits, ...options.limits };
  return await workerPool().run('store', { source, target, limits }, options.signal);
}

/** Writes the index of a stored tar anew, as a new file, with what the layers below say of it. */
export async function settleIndex(
  tar: string,
  index: string,
  diffId: DiffID,
  settlement: Settlement,
): Promise<void> {
  await workerPool().run('settle', { tar, index, diffId, settlement });
}
