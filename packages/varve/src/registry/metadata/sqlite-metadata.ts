import { KeyedLock } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import { State } from '../../state/index.ts';
import { accountsSchema } from './robots.ts';
import { registrySchema } from './schema.ts';
import { SqlMetadata } from './sql-metadata.ts';
import { SqliteRecords } from './sqlite-records.ts';

/** The records in one SQLite file: reads are indexed look-ups at once, writes share commits. */
export class SqliteMetadata extends SqlMetadata {
  readonly #records: SqliteRecords;
  readonly #blobTurns = new KeyedLock();

  /** @param database its path, created when missing (`:memory:` for tests), or the open state, which is then closed with this. */
  constructor(database: string | State) {
    const state = typeof database === 'string' ? new State(database) : database;
    for (const schema of [registrySchema, accountsSchema]) state.migrate(schema);
    const records = new SqliteRecords(state);
    super(records);
    this.#records = records;
  }

  inBlobTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    return this.#blobTurns.run(digest, work);
  }

  close(): void {
    this.#records.close();
  }
}
