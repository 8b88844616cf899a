/** Counts who needs a key to stay. */
export class KeyPins {
  readonly #counts = new Map<string, number>();

  has(key: string): boolean {
    return this.#counts.has(key);
  }

  /** Holds a key until it is disposed; nothing for no key. */
  hold(key: string | undefined): Disposable {
    if (key !== undefined) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        if (key === undefined) return;
        const left = (this.#counts.get(key) ?? 1) - 1;
        if (left > 0) this.#counts.set(key, left);
        else this.#counts.delete(key);
      },
    };
  }
}
