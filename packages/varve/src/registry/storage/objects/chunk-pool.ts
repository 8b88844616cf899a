/**
 * Memory of chunks that were sent, for the next ones: left to the collector, what 64 uploads had sent took twice the memory
 * of what they were sending.
 */
export class ChunkPool {
  readonly #maxBytes: number;
  #spare: Buffer[] = [];
  #spareBytes = 0;
  #heldBytes = 0;

  /** @param maxBytes kept at most */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What is taken and not given back. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** A buffer of so many bytes or more, up to twice as many, with anything in it. */
  take(size: number): Buffer {
    const place = this.#spare.findIndex(({ length }) => length >= size && length <= 2 * size);
    const [spare] = place < 0 ? [] : this.#spare.splice(place, 1);
    if (spare) this.#spareBytes -= spare.length;
    const buffer = spare ?? Buffer.allocUnsafeSlow(size);
    this.#heldBytes += buffer.length;
    return buffer;
  }

  /** Takes a buffer of {@link take} back. @param reuse false where somebody may look at it yet */
  give(buffer: Buffer, reuse = true): void {
    this.#heldBytes -= buffer.length;
    if (!reuse) return;
    // What is held and what is spare together: a burst of large chunks leaves no more behind than there may be.
    if (this.#heldBytes + this.#spareBytes + buffer.length > this.#maxBytes) return;
    this.#spare.push(buffer);
    this.#spareBytes += buffer.length;
  }

  /** Keeps nothing, until the next is given. */
  clear(): void {
    this.#spare = [];
    this.#spareBytes = 0;
  }
}
