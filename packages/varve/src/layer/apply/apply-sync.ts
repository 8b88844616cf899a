import { closeSync, openSync, readSync } from 'node:fs';
import { createDigester } from '../../oci/index.ts';
import type { FastGzip } from '../compress/codecs.ts';
import { detectCompression } from '../compress/detect.ts';
import { createInflater } from '../compress/inflate.ts';
import { checkExpansion, type LayerLimits } from '../limits.ts';
import { TarReader } from '../tar/reader.ts';
import type { ApplyResult, ApplyTarget, LayerSource } from '../types.ts';
import { Extractor } from './extractor.ts';

const inputSize = 256 << 10;

/**
 * Unpacks a layer in one pass in this thread: read, inflate, hash, parse, write. One thread per layer is the fastest way
 * on few cores; streams between threads cost more than the hashing they would hide.
 * @param checkCancelled called for every piece; throws to stop.
 */
export function applyLayerSync(
  source: LayerSource,
  target: ApplyTarget,
  limits: LayerLimits,
  fast: FastGzip | undefined,
  checkCancelled: () => void,
): ApplyResult {
  const fd = openSync(source.path, 'r');
  try {
    const input = Buffer.allocUnsafeSlow(inputSize);
    let length = readSync(fd, input, 0, inputSize, null);
    const compression =
      source.compression === 'auto' ? detectCompression(input.subarray(0, length)) : source.compression;
    const inflater = createInflater(compression, fast);
    using extractor = new Extractor(target.root, { whiteouts: target.whiteouts, rootEntry: true });
    const reader = new TarReader(extractor, { maxEntries: limits.maxEntries });
    const digester = createDigester();
    let inputBytes = 0;
    let tarSize = 0;
    try {
      while (length > 0) {
        inputBytes += length;
        inflater.push(input.subarray(0, length), (output) => {
          checkCancelled();
          tarSize += output.length;
          checkExpansion(inputBytes, tarSize, limits);
          digester.update(output);
          reader.feed(output);
        });
        length = readSync(fd, input, 0, inputSize, null);
      }
      inflater.finish();
    } finally {
      inflater.close();
    }
    reader.finish();
    extractor.finish();
    return {
      diffId: digester.digest(),
      tarSize,
      size: extractor.size,
      entries: reader.entries,
      impliedFolders: extractor.impliedFolders,
    };
  } finally {
    closeSync(fd);
  }
}
