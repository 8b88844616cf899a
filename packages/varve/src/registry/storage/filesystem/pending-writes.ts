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
    if (this.#bytes < this.#parts.share()) return this.#startSoon();
    while (this.#writing && this.#bytes >= this.#parts.share()) await this.#writing;
    this.#throwFailure();
    this.#startWrite();
  }

  /** Waits until everything is written. @throws what a write failed with */
  async flush(): Promise<void> {
    for (;;) {
      this.#startWrite();
      if (!this.#writing) break;
      await this.#writing;
    }
    this.#throwFailure();
  }

  #startSoon(): void {
    this.#timer ??= setTimeout(() => this.#startWrite(), delayMs);
  }

  #startWrite(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#writing || this.#failure || this.#chunks.length === 0) return;
    const batch = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    this.#writing = this.#write(batch).finally(() => {
      this.#writing = undefined;
      if (this.#chunks.length > 0 && !this.#failure) this.#startSoon();
    });
  }

  async #write(batch: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#parts.write(batch);
      const { release } = this.#parts;
      if (release) for (const chunk of batch) release(chunk);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
