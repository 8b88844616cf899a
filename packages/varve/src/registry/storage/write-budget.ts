/** How much of uploads is held in memory before it goes to the disk or the store. */
export interface WriteSizes {
  /** Of one upload among few. */
  readonly largestBytes: number;
  /** Of one upload among many. */
  readonly smallestBytes: number;
  /** What all uploads together may hold. */
  readonly budgetBytes: number;
}

/**
 * Tells uploads how much each may gather, by how many are being written to at once. Everyone has a share at any time, so that
 * nobody waits for somebody else's: uploads that wait for memory which slow ones hold could wait for ever.
 */
export class WriteBudget {
  readonly #sizes: WriteSizes;
  #writers = 0;

  constructor(sizes: WriteSizes) {
    this.#sizes = sizes;
  }

  /** Who is counted now. */
  get writers(): number {
    return this.#writers;
  }

  /**
   * Bytes that an upload gathers before it passes them on. Each holds twice that: what it gathers, and what is on its way.
   * @param heldBytes what all hold now, where that is known: who comes while others hold much gets less
   */
  shareBytes(heldBytes = 0): number {
    const { largestBytes, smallestBytes, budgetBytes } = this.#sizes;
    const equal = budgetBytes / (2 * Math.max(1, this.#writers));
    const left = (budgetBytes - heldBytes) / 2;
    const least = Math.min(smallestBytes, largestBytes);
    return Math.floor(Math.max(least, Math.min(largestBytes, equal, left)));
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
