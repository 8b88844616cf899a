import type { Digest } from '../../oci/index.ts';
import type { State } from '../../state/index.ts';
import type { GroupCommit } from './group-commit.ts';
import { digestOfRow } from './rows.ts';
import type { BlobRecord, Page, ScrubRecords } from './types.ts';

const maxConcerned = 100;

/** {@link ScrubRecords} over SQLite. */
export class SqliteScrub implements ScrubRecords {
  readonly #state: State;
  readonly #commits: GroupCommit;

  constructor(state: State, commits: GroupCommit) {
    this.#state = state;
    this.#commits = commits;
  }

  blobs(page: Page): (BlobRecord & { readonly damaged: boolean })[] {
    return this.#state
      .prepare(
        `SELECT digest, size, damaged_at FROM registry_blobs
         WHERE digest > ? AND size IS NOT NULL ORDER BY digest LIMIT ?`,
      )
      .all(page.after ?? '', page.limit)
      .map((row) => ({
        digest: digestOfRow(row),
        size: Number(row['size']),
        damaged: row['damaged_at'] !== null,
      }));
  }

  setDamaged(digest: Digest, damaged: boolean): Promise<void> {
    return this.#commits.write(() => {
      this.#state
        .prepare('UPDATE registry_blobs SET damaged_at = ? WHERE digest = ?')
        .run(damaged ? Date.now() : null, digest);
    });
  }

  concerned(digest: Digest): { readonly repository: string; readonly manifest: Digest }[] {
    return this.#state
      .prepare(
        `SELECT r.name, m.digest FROM registry_blobs b
         JOIN registry_manifest_blobs n ON n.blob_id = b.id
         JOIN registry_manifests m ON m.id = n.manifest_id
         JOIN registry_repositories r ON r.id = m.repository_id
         WHERE b.digest = ? LIMIT ?`,
      )
      .all(digest, maxConcerned)
      .map((row) => ({ repository: String(row['name']), manifest: digestOfRow(row) }));
  }
}
