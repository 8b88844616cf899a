import type { SparseRegion } from '../tar/entry.ts';
import { blockBits, blockBytes } from './format.ts';

/** 8 bytes each: half a megabyte of map for one sparse file. Chunks grow until they are no more than this. */
const maxChunks = 1 << 16;
/** Five bits on disk. */
const maxChunkBits = blockBits + 31;

/** How a sparse file is cut into chunks of one size. */
export interface ChunkPlan {
  readonly chunkBits: number;
  readonly chunks: readonly Chunk[];
}

/** A hole, a place in the tar, or pieces to be copied out of the tar since they do not fill it or stand askew. */
export type Chunk =
  | 'hole'
  | { readonly tarOffset: number }
  | { readonly bytes: number; readonly pieces: readonly Piece[] };

export interface Piece {
  /** From the chunk's start. */
  readonly at: number;
  readonly tarOffset: number;
  readonly size: number;
}

/**
 * Plans the chunks of a file, which may have holes, or be the last one of an archive whose end was cut within a block,
 * which no device can read. The largest chunk that no edge of a piece cuts needs the smallest map and no copy;
 * with edges off the block grid, the chunks they cut are copied.
 * @param regions in order, not overlapping, not empty.
 * @param tarOffset where the stored bytes start, on the block grid.
 * @param tarBytes where the tar ends.
 */
export function planChunks(
  size: number,
  regions: readonly SparseRegion[],
  tarOffset: number,
  tarBytes: number,
): ChunkPlan {
  let chunkBits = blockBits;
  const stores = regions.reduce((sum, region) => sum + region.size, 0);
  const isCut = isBeyond(tarOffset + stores, tarBytes);
  const edges = regions.flatMap(({ offset, size: length }) =>
    offset + length === size ? [offset] : [offset, offset + length],
  );
  const fits = (bits: number): boolean => !isCut && edges.every((edge) => edge % 2 ** bits === 0);
  while (chunkBits < maxChunkBits && 2 ** chunkBits < size && fits(chunkBits + 1)) chunkBits++;
  while (size / 2 ** chunkBits > maxChunks) chunkBits++;
  const chunkBytes = 2 ** chunkBits;
  const chunks: Chunk[] = [];
  let [first, stored] = [0, tarOffset];
  for (let start = 0; start < size; start += chunkBytes) {
    const end = Math.min(start + chunkBytes, size);
    for (
      let region = regions[first];
      region && region.offset + region.size <= start;
      region = regions[++first]
    ) {
      stored += region.size;
    }
    chunks.push(chunkOf({ start, end, tarBytes }, regions, first, stored));
  }
  return { chunkBits, chunks };
}

/** Whether the block that holds a place's last byte is not whole in the tar. */
function isBeyond(end: number, tarBytes: number): boolean {
  return Math.ceil(end / blockBytes) * blockBytes > tarBytes;
}

function chunkOf(
  { start, end, tarBytes }: { readonly start: number; readonly end: number; readonly tarBytes: number },
  regions: readonly SparseRegion[],
  first: number,
  stored: number,
): Chunk {
  const pieces: Piece[] = [];
  let tarOffset = stored;
  for (let index = first; index < regions.length; index++) {
    const region = regions[index] as SparseRegion;
    if (region.offset >= end) break;
    const from = Math.max(start, region.offset);
    const to = Math.min(end, region.offset + region.size);
    pieces.push({ at: from - start, tarOffset: tarOffset + from - region.offset, size: to - from });
    tarOffset += region.size;
  }
  const [only] = pieces;
  if (!only) return 'hole';
  const isWhole = pieces.length === 1 && only.size === end - start;
  const isReadable = only.tarOffset % blockBytes === 0 && !isBeyond(only.tarOffset + only.size, tarBytes);
  if (isWhole && isReadable) return { tarOffset: only.tarOffset };
  return { bytes: Math.ceil((end - start) / blockBytes) * blockBytes, pieces };
}
