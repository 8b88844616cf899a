import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from '../../base/index.ts';
import { createDigester, mediaTypes } from '../../oci/index.ts';
import type { FastGzip } from '../compress/codecs.ts';
import { createDeflater } from '../compress/deflate.ts';
import { type PackTotals, tarChunks } from '../pack/tar-chunks.ts';
import type { Compression, DiffSource, LayerBlob } from '../types.ts';
import type { WriteSettings } from '../worker/protocol.ts';
import { layerItems } from './layer-items.ts';

const types: Readonly<Record<Compression, string>> = {
  none: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
};

/** Writes a diff as a layer blob in one pass in this thread: walk, tar, hash, compress, hash, write, fsync. */
export function writeLayerSync(
  source: DiffSource,
  output: string,
  compression: Compression,
  settings: WriteSettings,
  fast: FastGzip | undefined,
  checkCancelled: () => void,
): LayerBlob {
  const fd = openSync(output, 'wx', 0o600);
  try {
    const plain = createDigester();
    const compressed = createDigester();
    const totals: PackTotals = { entries: 0, size: 0 };
    let tarSize = 0;
    let blobSize = 0;
    const write = (data: Buffer): void => {
      compressed.update(data);
      for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
      blobSize += data.length;
    };
    const deflater = createDeflater(compression, settings.level, fast);
    try {
      for (const chunk of tarChunks(layerItems(source, settings.exclude), totals, settings)) {
        checkCancelled();
        plain.update(chunk);
        tarSize += chunk.length;
        deflater.push(chunk, write);
      }
      deflater.finish(write);
    } finally {
      deflater.close();
    }
    fsyncSync(fd);
    const digest = compressed.digest();
    syncFolder(dirname(output));
    return {
      diffId: plain.digest(),
      tarSize,
      size: totals.size,
      digest,
      blobSize,
      mediaType: types[compression],
      entries: totals.entries,
    };
  } catch (error) {
    rmSync(output, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}
