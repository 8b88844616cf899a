import { defaultLimits, type LayerLimits } from './limits.ts';
import type { Compression, LayerBlob, LayerSource } from './types.ts';
import { workerPool } from './worker/pool.ts';

export interface CompressOptions {
  readonly signal?: AbortSignal;
  readonly limits?: Partial<LayerLimits>;
}

/**
 * Writes a layer under another compression to a new file, in a worker thread, and flushes it to disk. The tar inside keeps
 * its bytes, and so its DiffID; it is checked to be one on the way.
 * @throws VarveError of the tar reader and the decompressors, `exhausted`, `cancelled`; the file is removed then.
 */
export async function compressLayer(
  source: LayerSource,
  outputPath: string,
  compression: Compression,
  options: CompressOptions = {},
): Promise<LayerBlob> {
  const limits = { ...defaultLimits, ...options.limits };
  return workerPool().run('compress', { source, output: outputPath, compression, limits }, options.signal);
}
