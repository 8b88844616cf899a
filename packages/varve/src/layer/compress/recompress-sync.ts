import { closeSync, fsyncSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from '../../base/index.ts';
import { createDigester, mediaTypes } from '../../oci/index.ts';
import { checkExpansion, type LayerLimits } from '../limits.ts';
import { TarReader } from '../tar/reader.ts';
import type { Compression, LayerBlob, LayerSource } from '../types.ts';
import type { FastGzip } from './codecs.ts';
import { createDeflater } from './deflate.ts';
import { detectCompression } from './detect.ts';
import { createInflater } from './inflate.ts';

const inputSize = 256 << 10;
const types: Readonly<Record<Compression, string>> = {
  none: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
};

/** Writes a layer's tar, byte for byte the same, under another compression, checking that it is a tar. In this thread. */
export function recompressSync(
  source: LayerSource,
  output: string,
  compression: Compression,
  limits: LayerLimits,
  fast: FastGzip | undefined,
  checkCancelled: () => void,
): LayerBlob {
  const from = openSync(source.path, 'r');
  const to = openSync(output, 'wx', 0o600);
  try {
    const input = Buffer.allocUnsafeSlow(inputSize);
    let length = readSync(from, input, 0, inputSize, null);
    const inflater = createInflater(
      source.compression === 'auto' ? detectCompression(input.subarray(0, length)) : source.compression,
      fast,
    );
    const deflater = createDeflater(compression, undefined, fast);
    const plain = createDigester();
    const compressed = createDigester();
    let size = 0;
    const reader = new TarReader(
      {
        entry: (entry) => {
          if (entry.type === 'file') size += entry.size;
        },
      },
      { maxEntries: limits.maxEntries },
    );
    let inputBytes = 0;
    let tarSize = 0;
    let blobSize = 0;
    const write = (data: Buffer): void => {
      compressed.update(data);
      for (let at = 0; at < data.length; ) at += writeSync(to, data, at);
      blobSize += data.length;
    };
    try {
      while (length > 0) {
        inputBytes += length;
        inflater.push(input.subarray(0, length), (chunk) => {
          checkCancelled();
          tarSize += chunk.length;
          checkExpansion(inputBytes, tarSize, limits);
          plain.update(chunk);
          reader.feed(chunk);
          deflater.push(chunk, write);
        });
        length = readSync(from, input, 0, inputSize, null);
      }
      inflater.finish();
      deflater.finish(write);
    } finally {
      inflater.close();
      deflater.close();
    }
    reader.finish();
    fsyncSync(to);
    syncFolder(dirname(output));
    return {
      diffId: plain.digest(),
      tarSize,
      size,
      digest: compressed.digest(),
      blobSize,
      mediaType: types[compression],
      entries: reader.entries,
    };
  } catch (error) {
    rmSync(output, { force: true });
    throw error;
  } finally {
    closeSync(from);
    closeSync(to);
  }
}
