/** Lists with when they were asked for. The longest unasked ones go when all together have too many items. */
export class RecentLists<T> {
  readonly #maxItems: number;
  readonly #lists = new Map<string, { readonly at: number; readonly items: readonly T[] }>();
  #items = 0;

  constructor(maxItems: number) {
    this.#maxItems = maxItems;
  }

  /** @returns with when it was set, milliseconds since 1970 */
  get(key: string): { readonly at: number; readonly items: readonly T[] } | undefined {
    return this.#lists.get(key);
  }

  set(key: string, items: readonly T[]): void {
    this.#drop(key);
    this.#lists.set(key, { at: Date.now(), items });
    this.#items += items.length + 1;
    for (const oldest of this.#lists.keys()) {
      if (this.#items <= this.#maxItems) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const known = this.#lists.get(key);
    if (!known) return;
    this.#lists.delete(key);
    this.#items -= known.items.length + 1;
  }
}
