import type { State } from '../../state/index.ts';
import { GroupCommit } from './group-commit.ts';
import type { Answer, Records, SqlValue, Statement, Steps } from './steps.ts';

/** Records in one SQLite file: reads are answered at once, writes share commits. */
export class SqliteRecords implements Records {
  // The one node that there is remembers itself whom it told of a blob, and nobody else changes rows.
  readonly dialect = { linkAge: 'l.linked_at', skipLocked: '' };
  readonly #state: State;
  readonly #commits: GroupCommit;

  constructor(state: State) {
    this.#state = state;
    this.#commits = new GroupCommit(state);
  }

  read<T>(steps: Steps<T>): T {
    let step = steps.next();
    while (!step.done) step = steps.next(this.#answer(step.value));
    return step.value;
  }

  write<T>(steps: () => Steps<T>): Promise<T> {
    return this.#commits.write(() => this.read(steps()));
  }

  note<T>(steps: Steps<T>): T {
    return this.#state.transaction(() => this.read(steps), { durable: false });
  }

  /** Commits what waits, and closes the file. */
  close(): void {
    this.#commits.flush();
    this.#state.close();
  }

  #answer({ text, values, wants }: Statement): Answer {
    if (wants === 'names') return { rows: [], changes: 0, names: this.#names(text, values) };
    const statement = this.#state.prepare(text);
    if (wants === 'row') {
      const found = statement.get(...values);
      return { rows: found ? [found] : [], changes: 0 };
    }
    if (wants === 'rows') return { rows: statement.all(...values), changes: 0 };
    return { rows: [], changes: Number(statement.run(...values).changes) };
  }

  /**
   * Names as one text of JSON: node makes an object of every row, which takes ten times as long. A subquery with a limit keeps
   * its order (sqlite.org/optoverview.html#flattening: it is not flattened into an aggregate).
   */
  #names(text: string, values: readonly SqlValue[]): string[] {
    const row = this.#state.prepare(`SELECT json_group_array(name) AS names FROM (${text})`).get(...values);
    return JSON.parse(String(row?.['names'])) as string[];
  }
}
