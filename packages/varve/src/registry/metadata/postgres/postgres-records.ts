import type { Records, Steps } from '../steps.ts';
import type { Database, Transaction } from './database.ts';

/** Records in PostgreSQL. Every write is durable. */
export class PostgresRecords implements Records {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  read<T>(steps: Steps<T>): Promise<T> {
    return take(this.#database, steps);
  }

  write<T>(steps: () => Steps<T>): Promise<T> {
    return this.#database.write((transaction) => take(transaction, steps()));
  }
}

/** Makes the statements of `steps`, one after the other. */
export async function take<T>(database: Transaction, steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (!step.done) {
    const { text, values, wants } = step.value;
    step = steps.next(
      wants === 'rows'
        ? { rows: await database.rows(text, values), changes: 0 }
        : { rows: [], changes: await database.run(text, values) },
    );
  }
  return step.value;
}
