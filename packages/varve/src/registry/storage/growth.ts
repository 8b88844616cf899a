/** Tells those who read beside a writer that there is more, or that no more will come. Costs nothing while nobody does. */
export class Growth {
  #next: PromiseWithResolvers<void> | undefined;
  #ended = false;

  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves with the next {@link grew}, or at once after the end. */
  async next(): Promise<void> {
    if (this.#ended) return;
    this.#next ??= Promise.withResolvers<void>();
    await this.#next.promise;
  }

  grew(): void {
    this.#next?.resolve();
    this.#next = undefined;
  }

  end(): void {
    this.#ended = true;
    this.grew();
  }
}
