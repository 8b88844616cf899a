/**
 * Work that goes on after its answer was given: what a removed container leaves. Whoever could trip over it (removing
 * an image or volume, ending the engine) waits for it first.
 */
export class Cleanups {
  readonly #running = new Set<Promise<void>>();

  /** Takes care of work whose failure is its own to report. */
  add(work: Promise<void>): void {
    const mine = work.finally(() => this.#running.delete(mine));
    this.#running.add(mine);
  }

  /** Resolves when all that is under way now has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }
}
