import type { State } from '../../state/index.ts';
import { GroupCommit } from './group-commit.ts';
import type { Answer, Records, Statement, Steps } from './steps.ts';

/** Records in one SQLite file: reads are answered at once, writes share commits. */
export class SqliteRecords implements Records {
  readonly #state: State;
  readonly #commits: GroupCommit;

  constructor(state: State, commits: GroupCommit = new GroupCommit(state, () => undefined)) {
    this.#state = state;
    this.#commits = commits;
  }

  read<T>(steps: Steps<T>): T {
    return this.#take(steps);
  }

  async write<T>(steps: () => Steps<T>, options: { readonly durable?: boolean } = {}): Promise<T> {
    const work = (): T => this.#take(steps());
    if (options.durable === false) return this.#state.transaction(work, { durable: false });
    return await this.#commits.write(work);
  }

  #take<T>(steps: Steps<T>): T {
    let step = steps.next();
    while (!step.done) step = steps.next(this.#answer(step.value));
    return step.value;
  }

  #answer({ text, values, wants }: Statement): Answer {
    const statement = this.#state.prepare(text);
    if (wants === 'rows') return { rows: statement.all(...values), changes: 0 };
    return { rows: [], changes: Number(statement.run(...values).changes) };
  }
}
