import { layerError } from '../errors.ts';
import type { Compression } from '../types.ts';

/** Compressions that are known but not read, so that the message can name them. */
const foreign: readonly (readonly [string, Buffer])[] = [
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['bzip2', Buffer.from('BZh')],
  ['lz4', Buffer.from('04224d18', 'hex')],
];

/**
 * How data is compressed, by its first bytes (RFC 1952, RFC 8878); four are enough.
 * @throws VarveError COMPRESSION_UNKNOWN for a compression that is not read.
 */
export function detectCompression(head: Buffer): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head.length >= 4) {
    const magic = head.readUInt32LE(0);
    // A zstd frame, or a skippable one as zstd:chunked and pzstd put first.
    if (magic === 0xfd2f_b528 || (magic & 0xffff_fff0) >>> 0 === 0x184d_2a50) return 'zstd';
  }
  for (const [name, bytes] of foreign) {
    if (head.subarray(0, bytes.length).equals(bytes)) {
      throw layerError('COMPRESSION_UNKNOWN', `compression "${name}" is not supported`);
    }
  }
  return 'none';
}
