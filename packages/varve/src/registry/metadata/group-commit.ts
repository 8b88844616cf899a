import type { State } from '../../state/index.ts';

interface Entry {
  readonly run: () => void;
  readonly settle: (failure?: { readonly error: unknown }) => void;
}

/**
 * Joins the writes of one turn of the event loop in one transaction, and the transactions made while the disk is busy in one
 * fsync, which is what a commit costs. Each write has its own savepoint, so one that fails does not take the others along.
 * A write is seen when it is committed; its promise is settled when it is durable, so that nothing is confirmed before.
 * The fsync runs on another thread: on this one it took a third of a push.
 */
export class GroupCommit {
  readonly #state: State;
  #waiting: Entry[] = [];
  #committed: Entry[] = [];
  #syncing = false;
  #broken: { readonly error: unknown } | undefined;

  constructor(state: State) {
    this.#state = state;
  }

  write<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let outcome: () => void = () => reject(new Error('the write did not run'));
      this.#waiting.push({
        run: () => {
          this.#exec('SAVEPOINT entry');
          try {
            const result = work();
            this.#exec('RELEASE entry');
            outcome = () => resolve(result);
          } catch (error) {
            this.#exec('ROLLBACK TO entry');
            this.#exec('RELEASE entry');
            outcome = () => reject(error);
          }
        },
        settle: (failure) => {
          if (failure) reject(failure.error);
          else outcome();
        },
      });
      if (this.#waiting.length > 1) return;
      setImmediate(() => {
        this.#commit({ durable: false });
        void this.#sync();
      });
    });
  }

  /** Commits what waits, and makes it durable, now. */
  flush(): void {
    this.#commit({ durable: true });
    if (this.#committed.length > 0) this.#state.flush();
    settle(this.#committed, this.#broken);
    this.#committed = [];
  }

  #commit(options: { readonly durable: boolean }): void {
    const entries = this.#waiting;
    if (entries.length === 0) return;
    this.#waiting = [];
    if (this.#broken) return settle(entries, this.#broken);
    try {
      this.#state.transaction(() => {
        for (const entry of entries) entry.run();
      }, options);
    } catch (error) {
      return settle(entries, { error });
    }
    this.#committed.push(...entries);
  }

  async #sync(): Promise<void> {
    if (this.#syncing) return;
    this.#syncing = true;
    while (this.#committed.length > 0) {
      const entries = this.#committed;
      this.#committed = [];
      try {
        await this.#state.sync();
      } catch (error) {
        // The kernel may have dropped what it could not write and says so once (fsync(2)): nothing after it is sure.
        this.#broken = { error };
      }
      settle(entries, this.#broken);
    }
    this.#syncing = false;
  }

  #exec(sql: string): void {
    this.#state.prepare(sql).run();
  }
}

function settle(entries: readonly Entry[], failure: { readonly error: unknown } | undefined): void {
  for (const entry of entries) entry.settle(failure);
}
