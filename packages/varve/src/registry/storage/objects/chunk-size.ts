/** How much of an upload is held in memory before it goes to the store. */
export interface ChunkSizes {
  /** Of one upload among few. */
  readonly largestBytes: number;
  /** Of one upload among many. */
  readonly smallestBytes: number;
  /** What all uploads together may hold. */
  readonly budgetBytes: number;
}

/** 8 MiB as most clients of object stores have it; a chunk that fills and one on its way: 16 MiB an upload. */
export const defaultChunkSizes: ChunkSizes = {
  largestBytes: 8 * 1024 * 1024,
  smallestBytes: 512 * 1024,
  budgetBytes: 48 * 1024 * 1024,
};

/** Tells uploads how large their chunks may be, by how many are being written to at once. */
export class ChunkBudget {
  readonly #sizes: ChunkSizes;
  #writers = 0;

  constructor(sizes: ChunkSizes) {
    this.#sizes = sizes;
  }

  /** Bytes after which an upload sends what it has. Each holds two chunks: one that fills, one on its way. */
  get chunkBytes(): number {
    const { largestBytes, smallestBytes, budgetBytes } = this.#sizes;
    const share = budgetBytes / (2 * Math.max(1, this.#writers));
    return Math.floor(Math.max(Math.min(smallestBytes, largestBytes), Math.min(largestBytes, share)));
  }

  /** Counts a writer until it is disposed of. */
  enter(): Disposable {
    this.#writers++;
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (!left) this.#writers--;
        left = true;
      },
    };
  }
}
