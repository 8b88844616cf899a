import { defaultLimits, type LayerLimits } from './limits.ts';
import type { ApplyResult, ApplyTarget, LayerSource } from './types.ts';
import { workerPool } from './worker/pool.ts';

export interface ApplyOptions {
  readonly signal?: AbortSignal;
  readonly limits?: Partial<LayerLimits>;
}

/**
 * Unpacks a layer blob into a folder, in a worker thread. Nothing is written outside the folder whatever the archive
 * holds: names are cleaned, links are resolved inside, devices are made but never opened. A failure leaves a part of the
 * layer: the caller removes the folder (`overlay`) or the tree (`apply`). The caller compares `diffId` with the one
 * it expects; nothing here knows it.
 * @throws VarveError `invalid` with a `TAR_…` or `COMPRESSION_…` code for a broken or hostile archive, `exhausted` when
 * the disk is full, `cancelled`.
 */
export async function applyLayer(
  source: LayerSource,
  target: ApplyTarget,
  options: ApplyOptions = {},
): Promise<ApplyResult> {
  const limits = { ...defaultLimits, ...options.limits };
  return workerPool().run('apply', { source, target, limits }, options.signal);
}
