import type { State } from '../../state/index.ts';

interface Entry {
  readonly run: () => void;
  readonly settle: (failure?: { readonly error: unknown }) => void;
}

/**
 * Joins the writes of one turn of the event loop in one transaction: they share its fsync, which is what a commit
 * costs. Each has its own savepoint, so one that fails does not take the others along. A write's promise is settled
 * after the commit.
 */
export class GroupCommit {
  readonly #state: State;
  readonly #onRollback: () => void;
  #waiting: Entry[] = [];

  /** @param onRollback called when a whole commit failed, to forget what was read inside it. */
  constructor(state: State, onRollback: () => void) {
    this.#state = state;
    this.#onRollback = onRollback;
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
      if (this.#waiting.length === 1) setImmediate(() => this.flush());
    });
  }

  /** Commits what waits, now. */
  flush(): void {
    const entries = this.#waiting;
    if (entries.length === 0) return;
    this.#waiting = [];
    let failure: { readonly error: unknown } | undefined;
    try {
      this.#state.transaction(() => {
        for (const entry of entries) entry.run();
      });
    } catch (error) {
      failure = { error };
      this.#onRollback();
    }
    for (const entry of entries) entry.settle(failure);
  }

  #exec(sql: string): void {
    this.#state.prepare(sql).run();
  }
}
