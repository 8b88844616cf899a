import type { Records, Steps } from '../steps.ts';
import type { Database, Statements } from './database.ts';

/** Records in PostgreSQL. Every write is durable. */
export class PostgresRecords implements Records {
  readonly dialect = {
    // Every node tells clients of blobs: see PostgresMetadata.useBlob.
    linkAge: 'greatest(l.linked_at, b.used_at)',
    skipLocked: 'FOR UPDATE SKIP LOCKED',
  };
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

  note<T>(steps: Steps<T>): Promise<T> {
    return take(this.#database, steps);
  }
}

/** Makes the statements of `steps`, one after the other. */
async function take<T>(database: Statements, steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (!step.done) step = steps.next(await database.answer(step.value));
  return step.value;
}
