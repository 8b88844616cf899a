/** Counted holds on names: what an operation under way needs is not collected before its record is written. */
export class Pins<T> {
  readonly #counts = new Map<T, number>();
  readonly #watches = new Set<Set<T>>();

  add(name: T): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    for (const seen of this.#watches) seen.add(name);
  }

  release(name: T): void {
    const count = (this.#counts.get(name) ?? 0) - 1;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }

  /**
   * Knows every name that is pinned now or at any time until it is disposed: a collection that marked before an
   * operation began must not sweep what the operation found and has recorded meanwhile.
   */
  watch(): PinWatch<T> {
    const seen = new Set(this.#counts.keys());
    this.#watches.add(seen);
    return {
      has: (name) => seen.has(name),
      [Symbol.dispose]: () => {
        this.#watches.delete(seen);
      },
    };
  }
}

/** What {@link Pins.watch} gives. */
export interface PinWatch<T> extends Disposable {
  has(name: T): boolean;
}
