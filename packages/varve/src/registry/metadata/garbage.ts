import type { Digest } from '../../oci/index.ts';
import type { State } from '../../state/index.ts';
import type { GroupCommit } from './group-commit.ts';
import { digestOfRow } from './rows.ts';
import type { GarbageRecords, Page } from './types.ts';

/** The collector's side of the records; each step is one short transaction that asks again what it deletes. */
export class SqliteGarbage implements GarbageRecords {
  readonly #state: State;
  readonly #commits: GroupCommit;

  constructor(state: State, commits: GroupCommit) {
    this.#state = state;
    this.#commits = commits;
  }

  removeUntagged(before: number, limit: number): Promise<number> {
    return this.#commits.write(() =>
      Number(
        this.#state
          .prepare(
            `DELETE FROM registry_manifests WHERE id IN (
               SELECT m.id FROM registry_manifests m
               WHERE m.pushed_at < ?
                 AND NOT EXISTS (SELECT 1 FROM registry_tags t WHERE t.manifest_id = m.id)
                 AND NOT EXISTS (SELECT 1 FROM registry_manifest_children c
                                 WHERE c.repository_id = m.repository_id AND c.child = m.digest)
                 AND (m.subject IS NULL OR NOT EXISTS
                       (SELECT 1 FROM registry_manifests s
                        WHERE s.repository_id = m.repository_id AND s.digest = m.subject))
               LIMIT ?)`,
          )
          .run(before, limit).changes,
      ),
    );
  }

  removeUnusedLinks(
    before: number,
    limit: number,
    keep: (digest: Digest) => boolean,
  ): Promise<{ readonly examined: number; readonly removed: number }> {
    return this.#commits.write(() => {
      const rows = this.#state
        .prepare(
          `SELECT l.repository_id, l.blob_id, b.digest FROM registry_blob_links l
           JOIN registry_blobs b ON b.id = l.blob_id
           WHERE l.linked_at < ?
             AND NOT EXISTS (SELECT 1 FROM registry_manifest_blobs m
                             WHERE m.blob_id = l.blob_id AND m.repository_id = l.repository_id)
           ORDER BY l.linked_at LIMIT ?`,
        )
        .all(before, limit);
      const unlink = this.#state.prepare(
        'DELETE FROM registry_blob_links WHERE repository_id = ? AND blob_id = ?',
      );
      // One that is kept counts as linked anew; otherwise it would stand first in every batch.
      const renew = this.#state.prepare(
        'UPDATE registry_blob_links SET linked_at = ? WHERE repository_id = ? AND blob_id = ?',
      );
      let removed = 0;
      for (const row of rows) {
        const [repositoryId, blobId] = [Number(row['repository_id']), Number(row['blob_id'])];
        if (keep(digestOfRow(row))) renew.run(Date.now(), repositoryId, blobId);
        else removed += Number(unlink.run(repositoryId, blobId).changes);
      }
      return { examined: rows.length, removed };
    });
  }

  unlinkedBlobs(before: number, page: Page): Digest[] {
    return this.#state
      .prepare(
        `SELECT digest FROM registry_blobs b
         WHERE b.size IS NOT NULL AND b.stored_at < ? AND b.digest > ?
           AND NOT EXISTS (SELECT 1 FROM registry_blob_links l WHERE l.blob_id = b.id)
         ORDER BY digest LIMIT ?`,
      )
      .all(before, page.after ?? '', page.limit)
      .map(digestOfRow);
  }

  forgetBlob(digest: Digest): Promise<boolean> {
    return this.#commits.write(() => {
      const { changes } = this.#state
        .prepare(
          `UPDATE registry_blobs SET size = NULL, stored_at = NULL WHERE digest = ?
           AND NOT EXISTS (SELECT 1 FROM registry_blob_links l WHERE l.blob_id = registry_blobs.id)`,
        )
        .run(digest);
      if (Number(changes) === 0) return false;
      this.#state
        .prepare(
          `DELETE FROM registry_blobs WHERE digest = ?
           AND NOT EXISTS (SELECT 1 FROM registry_manifest_blobs m WHERE m.blob_id = registry_blobs.id)`,
        )
        .run(digest);
      return true;
    });
  }

  knowsBlob(digest: Digest): boolean {
    return (
      this.#state
        .prepare('SELECT 1 FROM registry_blobs WHERE digest = ? AND size IS NOT NULL')
        .get(digest) !== undefined
    );
  }
}
