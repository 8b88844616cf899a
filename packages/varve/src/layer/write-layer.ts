import type { Change, Compression, DiffSource, LayerBlob } from './types.ts';
import { workerPool } from './worker/pool.ts';
import type { WriteSettings } from './worker/protocol.ts';

export interface WriteOptions extends WriteSettings {
  readonly signal?: AbortSignal;
}

/**
 * Writes a diff as a layer blob to a new file, in a worker thread, and flushes it to disk. Equal trees give equal tars:
 * names in byte order, parents first, one way to write a header (see tar/writer.ts). The compressed digest also depends
 * on the compressor: gzip by ISA-L where it is installed and no level is asked for, else by zlib.
 * @throws VarveError `exhausted`, `cancelled`, `invalid` LAYER_RESERVED_NAME; the file is removed then.
 */
export async function writeLayer(
  source: DiffSource,
  outputPath: string,
  compression: Compression,
  options: WriteOptions = {},
): Promise<LayerBlob> {
  const { signal, ...settings } = options;
  return workerPool().run('write', { source, output: outputPath, compression, options: settings }, signal);
}

/** What `docker diff` shows of a diff, sorted by path: additions, modifications (folders above included), deletions. */
export async function changes(
  source: DiffSource,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Change[]> {
  return workerPool().run('changes', { source }, options.signal);
}
