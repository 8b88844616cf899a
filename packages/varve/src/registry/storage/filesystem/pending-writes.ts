// Past this the sender waits. One writev of 1 MiB costs about as much as one of 64 KiB, so what arrives while a write
// is in flight goes out together.
const maxPendingBytes = 1024 * 1024;

/** Chunks on their way to a file, in order, one write at a time. */
export class PendingWrites {
  readonly #writeBatch: (batch: readonly Uint8Array[]) => Promise<void>;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(writeBatch: (batch: readonly Uint8Array[]) => Promise<void>) {
    this.#writeBatch = writeBatch;
  }

  /** Takes a chunk; waits when too much is pending. @throws what a write before it failed with */
  async add(chunk: Uint8Array): Promise<void> {
    this.#throwFailure();
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#writing ??= this.#drain();
    if (this.#bytes >= maxPendingBytes) await this.#writing;
    this.#throwFailure();
  }

  /** Waits until everything is written. @throws what a write failed with */
  async flush(): Promise<void> {
    await this.#writing;
    this.#throwFailure();
  }

  async #drain(): Promise<void> {
    try {
      while (this.#chunks.length > 0) {
        const batch = this.#chunks;
        this.#chunks = [];
        this.#bytes = 0;
        await this.#writeBatch(batch);
      }
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
