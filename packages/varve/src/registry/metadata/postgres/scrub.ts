import type { Digest } from '../../../oci/index.ts';
import { digestOfRow } from '../rows.ts';
import type { BlobRecord, Page, ScrubRecords } from '../types.ts';
import type { Database } from './database.ts';

const maxConcerned = 100;

/** {@link ScrubRecords} over PostgreSQL. */
export class PostgresScrub implements ScrubRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async blobs(page: Page): Promise<(BlobRecord & { readonly damaged: boolean })[]> {
    const rows = await this.#database.rows(
      `SELECT digest, size, damaged_at FROM registry_blobs
       WHERE digest > $1 AND size IS NOT NULL ORDER BY digest LIMIT $2`,
      [page.after ?? '', page.limit],
    );
    return rows.map((row) => ({
      digest: digestOfRow(row),
      size: Number(row['size']),
      damaged: row['damaged_at'] !== null,
    }));
  }

  async setDamaged(digest: Digest, damaged: boolean): Promise<void> {
    await this.#database.run('UPDATE registry_blobs SET damaged_at = $2 WHERE digest = $1', [
      digest,
      damaged ? Date.now() : null,
    ]);
  }

  async concerned(digest: Digest): Promise<{ readonly repository: string; readonly manifest: Digest }[]> {
    const rows = await this.#database.rows(
      `SELECT r.name, m.digest FROM registry_blobs b
       JOIN registry_manifest_blobs n ON n.blob_id = b.id
       JOIN registry_manifests m ON m.id = n.manifest_id
       JOIN registry_repositories r ON r.id = m.repository_id
       WHERE b.digest = $1 LIMIT $2`,
      [digest, maxConcerned],
    );
    return rows.map((row) => ({ repository: String(row['name']), manifest: digestOfRow(row) }));
  }
}
