/** Counted holds on names: what an operation under way needs is not collected before its record is written. */
export class Pins<T> {
  readonly #counts = new Map<T, number>();

  add(name: T): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  release(name: T): void {
    const count = (this.#counts.get(name) ?? 0) - 1;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }

  has(name: T): boolean {
    return this.#counts.has(name);
  }

  names(): Iterable<T> {
    return this.#counts.keys();
  }
}
