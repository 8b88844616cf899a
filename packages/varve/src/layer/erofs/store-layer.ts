import { defaultLimits, type LayerLimits } from '../limits.ts';
import type { LayerSource } from '../types.ts';
import { workerPool } from '../worker/pool.ts';
import type { SettleRequest, StoredLayer, StoreTarget, TarToIndex } from './store-sync.ts';

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

/**
 * Answers a stored layer's open questions, in a worker thread: writes another index, as a new file, where the layers below
 * change something. Nothing is synced.
 * @returns false when the index that is there is right, and nothing was written.
 */
export async function settleIndex(
  request: SettleRequest,
  options: { readonly signal?: AbortSignal } = {},
): Promise<boolean> {
  return await workerPool().run('settle', request, options.signal);
}

/** Writes the index of a tar that is stored and hashed already, as a new file, in a worker thread. Nothing is synced. */
export async function indexTar(
  request: TarToIndex,
  options: { readonly signal?: AbortSignal } = {},
): Promise<StoredLayer> {
  return await workerPool().run('index', request, options.signal);
}
