// Most blobs of a registry are configurations, smaller than this: they need no buffer of a chunk's size.
const smallBytes = 128 * 1024;

/**
 * Bytes on their way to be one chunk. What arrives is copied once it is more than a little: the pieces can go, where
 * joining them at the end would hold all twice.
 */
export class FillingChunk {
  #pieces: Uint8Array[] = [];
  #buffer: Buffer | undefined;
  #size = 0;

  constructor(first?: Uint8Array) {
    if (first && first.length > 0) this.add(first, first.length);
  }

  get size(): number {
    return this.#size;
  }

  /** @param expected what the chunk will have, if all goes well; it may get more */
  add(piece: Uint8Array, expected: number): void {
    const size = this.#size + piece.length;
    if (!this.#buffer && size <= smallBytes) {
      this.#pieces.push(piece);
    } else {
      if (!this.#buffer || this.#buffer.length < size) this.#grow(Math.max(expected + smallBytes, size));
      this.#buffer?.set(piece, this.#size);
    }
    this.#size = size;
  }

  /** The bytes. The chunk is not to be used after it. */
  take(): Buffer {
    return this.peek();
  }

  /** The bytes so far. */
  peek(): Buffer {
    return this.#buffer ? this.#buffer.subarray(0, this.#size) : Buffer.concat(this.#pieces, this.#size);
  }

  #grow(size: number): void {
    const before = this.peek();
    this.#buffer = Buffer.allocUnsafeSlow(size);
    this.#buffer.set(before);
    this.#pieces = [];
  }
}
