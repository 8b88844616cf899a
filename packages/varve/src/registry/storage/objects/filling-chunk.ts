import type { ChunkPool } from './chunk-pool.ts';

// Most blobs of a registry are configurations, smaller than this: they need no buffer of a chunk's size.
const smallBytes = 128 * 1024;
// What comes with the piece that fills a chunk; a socket is read in pieces of this size.
const overrunBytes = 64 * 1024;

/** Bytes on their way to be one chunk. They are copied: the pieces can go, where joining them at the end would hold all twice. */
export class FillingChunk {
  readonly #pool: ChunkPool;
  #pieces: Uint8Array[] = [];
  #buffer: Buffer | undefined;
  #size = 0;
  /** What it is to have, once it has a buffer. */
  #wanted: number | undefined;

  constructor(pool: ChunkPool, first?: Uint8Array) {
    this.#pool = pool;
    if (first && first.length > 0) this.add(first, first.length);
  }

  get size(): number {
    return this.#size;
  }

  /** @param share what a chunk that begins now is to have; it may get more. @returns whether the chunk is full */
  add(piece: Uint8Array, share: number): boolean {
    const size = this.#size + piece.length;
    if (!this.#buffer && size <= smallBytes) {
      this.#pieces.push(Buffer.from(piece));
    } else {
      if (!this.#buffer || this.#buffer.length < size) {
        this.#wanted ??= share;
        this.#grow(Math.max(this.#wanted + overrunBytes, size));
      }
      this.#buffer?.set(piece, this.#size);
    }
    this.#size = size;
    return size >= (this.#wanted ?? share);
  }

  /** The bytes so far. */
  bytes(): Buffer {
    return this.#buffer ? this.#buffer.subarray(0, this.#size) : Buffer.concat(this.#pieces, this.#size);
  }

  /**
   * Gives its memory back: neither the chunk nor its {@link bytes} are to be used after it.
   * @param reuse false where a request that failed may still be reading them
   */
  release(reuse = true): void {
    if (this.#buffer) this.#pool.give(this.#buffer, reuse);
    this.#buffer = undefined;
    this.#pieces = [];
    this.#size = 0;
  }

  #grow(size: number): void {
    const buffer = this.#pool.take(size);
    buffer.set(this.bytes());
    if (this.#buffer) this.#pool.give(this.#buffer);
    this.#buffer = buffer;
    this.#pieces = [];
  }
}
