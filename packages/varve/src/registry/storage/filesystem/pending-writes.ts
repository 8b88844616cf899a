// A body that fits into its share is written at once when it is whole; what trickles in is not held back for longer.
const delayMs = 20;

/** What a {@link PendingWrites} works with. */
export interface PendingWritesParts {
  readonly write: (batch: readonly Uint8Array[]) => Promise<void>;
  /** Bytes to gather before they are written; asked again for each chunk. Past twice that the sender waits. */
  readonly share: () => number;
  /** Told of each chunk that is written. */
  readonly release?: ((chunk: Uint8Array) => void) | undefined;
}

/** Chunks on their way to a file, in order, one write at a time. */
export class PendingWrites {
  readonly #parts: PendingWritesParts;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(parts: PendingWritesParts) {
    this.#parts = parts;
  }

  /** Takes a chunk; waits while as much is gathered as may be and a write is under way. @throws what a write before it failed with */
  async add(chunk: Uint8Array): Promise<void> {
    this.#throwFailure();
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#parts.share()) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#writing ??= this.#writeBatch();
      }, delayMs);
      return;
    }
    while (this.#writing && this.#bytes >= this.#parts.share()) await this.#writing;
    this.#throwFailure();
    this.#writing ??= this.#writeBatch();
  }

  /** Waits until everything is written. @throws what a write failed with */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#writing || (this.#chunks.length > 0 && !this.#failure)) {
      this.#writing ??= this.#writeBatch();
      await this.#writing;
    }
    this.#throwFailure();
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    try {
      if (batch.length > 0) await this.#parts.write(batch);
      const { release } = this.#parts;
      if (release) for (const chunk of batch) release(chunk);
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#writing = undefined;
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
