import type { Digest } from '../../../oci/index.ts';
import { SqlMetadata } from '../sql-metadata.ts';
import { change, row, type Steps } from '../steps.ts';
import type { BlobRecord } from '../types.ts';
import { Database } from './database.ts';
import { PostgresRecords } from './postgres-records.ts';

/** The records in PostgreSQL, for several registries that serve the same repositories. */
export class PostgresMetadata extends SqlMetadata {
  readonly #database: Database;
  readonly #records: PostgresRecords;

  private constructor(database: Database) {
    const records = new PostgresRecords(database);
    super(records);
    this.#database = database;
    this.#records = records;
  }

  /**
   * Connects, and makes the tables where they are missing.
   * @param url `postgres://user:password@host:port/database`
   * @throws RegistryError `UNAVAILABLE` when the database cannot be reached
   */
  static async open(url: string, options: { readonly connections?: number } = {}): Promise<PostgresMetadata> {
    const database = new Database(url, options);
    try {
      await database.migrate();
    } catch (error) {
      await database.close();
      throw error;
    }
    return new PostgresMetadata(database);
  }

  inBlobTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    return this.#database.locked(`blob ${digest}`, work);
  }

  async useBlob(repository: string, digest: Digest, since: number): Promise<BlobRecord | undefined> {
    const { linkAge } = this.#records.dialect;
    const found = await this.#records.read(findUsed(repository, digest, linkAge));
    if (!found || found.at >= since) return found && { digest, size: found.size };
    // Read again in the transaction: a collection that judges by the older time is before or after, not beside.
    return await this.#records.write(function* () {
      const current = yield* findUsed(repository, digest, linkAge);
      if (current && current.at < since) {
        yield* change('UPDATE registry_blobs SET used_at = ?2 WHERE id = ?1', current.id, Date.now());
      }
      return current && { digest, size: current.size };
    });
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

/** A repository's blob, with when it was linked or used last. */
function* findUsed(
  repository: string,
  digest: Digest,
  linkAge: string,
): Steps<{ readonly id: number; readonly size: number; readonly at: number } | undefined> {
  const found = yield* row(
    `SELECT b.id, b.size, ${linkAge} AS at FROM registry_blobs b
     JOIN registry_blob_links l ON l.blob_id = b.id
     JOIN registry_repositories r ON r.id = l.repository_id
     WHERE r.name = ?1 AND b.digest = ?2 AND b.damaged_at IS NULL`,
    repository,
    digest,
  );
  return found && { id: Number(found['id']), size: Number(found['size']), at: Number(found['at']) };
}
