import type { Digest } from '../../oci/index.ts';
import type { State } from '../../state/index.ts';
import type { GroupCommit } from './group-commit.ts';
import { digestOfRow, type Row } from './rows.ts';
import type { GarbageRecords, SweepCursor, SweepStep } from './types.ts';

const manifestIsNeeded = `
  EXISTS (SELECT 1 FROM registry_tags t WHERE t.manifest_id = m.id)
  OR EXISTS (SELECT 1 FROM registry_manifest_children c
             WHERE c.repository_id = m.repository_id AND c.child = m.digest)
  OR (m.subject IS NOT NULL AND EXISTS
       (SELECT 1 FROM registry_manifests s WHERE s.repository_id = m.repository_id AND s.digest = m.subject))`;

const linkIsNeeded = `
  EXISTS (SELECT 1 FROM registry_manifest_blobs n WHERE n.blob_id = l.blob_id AND n.repository_id = l.repository_id)`;

/** The sweeps over SQLite: a page of primary keys is read, and what is garbage in it is removed in one transaction. */
export class SqliteGarbage implements GarbageRecords {
  readonly #state: State;
  readonly #commits: GroupCommit;

  constructor(state: State, commits: GroupCommit) {
    this.#state = state;
    this.#commits = commits;
  }

  async removeUntagged(before: number, limit: number, cursor: SweepCursor = [0]): Promise<SweepStep<number>> {
    const rows = this.#state
      .prepare(
        `SELECT m.id, m.pushed_at < ? AND NOT (${manifestIsNeeded}) AS garbage
         FROM registry_manifests m WHERE m.id > ? ORDER BY m.id LIMIT ?`,
      )
      .all(before, cursor[0] ?? 0, limit);
    const found = await this.#remove(rows.filter(isGarbage), (row) => {
      const remove = this.#state.prepare(
        `DELETE FROM registry_manifests AS m WHERE m.id = ? AND m.pushed_at < ? AND NOT (${manifestIsNeeded})`,
      );
      return remove.run(Number(row['id']), before).changes;
    });
    return { found, next: nextCursor(rows, limit, ['id']) };
  }

  async removeUnusedLinks(
    before: number,
    limit: number,
    keep: (digest: Digest) => boolean,
    cursor: SweepCursor = [0, 0],
  ): Promise<SweepStep<number>> {
    const rows = this.#state
      .prepare(
        `SELECT l.repository_id, l.blob_id, b.digest, l.linked_at < ? AND NOT (${linkIsNeeded}) AS garbage
         FROM registry_blob_links l JOIN registry_blobs b ON b.id = l.blob_id
         WHERE (l.repository_id, l.blob_id) > (?, ?) ORDER BY l.repository_id, l.blob_id LIMIT ?`,
      )
      .all(before, cursor[0] ?? 0, cursor[1] ?? 0, limit);
    const found = await this.#remove(rows.filter(isGarbage), (row) => {
      if (keep(digestOfRow(row))) return 0;
      const remove = this.#state.prepare(
        `DELETE FROM registry_blob_links AS l
         WHERE l.repository_id = ? AND l.blob_id = ? AND l.linked_at < ? AND NOT (${linkIsNeeded})`,
      );
      return remove.run(Number(row['repository_id']), Number(row['blob_id']), before).changes;
    });
    return { found, next: nextCursor(rows, limit, ['repository_id', 'blob_id']) };
  }

  unlinkedBlobs(before: number, limit: number, cursor: SweepCursor = [0]): SweepStep<readonly Digest[]> {
    const rows = this.#state
      .prepare(
        `SELECT b.id, b.digest, b.size IS NOT NULL AND b.stored_at < ?
           AND NOT EXISTS (SELECT 1 FROM registry_blob_links l WHERE l.blob_id = b.id) AS garbage
         FROM registry_blobs b WHERE b.id > ? ORDER BY b.id LIMIT ?`,
      )
      .all(before, cursor[0] ?? 0, limit);
    return { found: rows.filter(isGarbage).map(digestOfRow), next: nextCursor(rows, limit, ['id']) };
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

  async #remove(garbage: readonly Row[], removeOne: (row: Row) => number | bigint): Promise<number> {
    if (garbage.length === 0) return 0;
    return await this.#commits.write(() => {
      let removed = 0;
      for (const row of garbage) removed += Number(removeOne(row));
      return removed;
    });
  }
}

function isGarbage(row: Row): boolean {
  return row['garbage'] === 1;
}

function nextCursor(rows: readonly Row[], limit: number, key: readonly string[]): SweepCursor | undefined {
  const last = rows.at(-1);
  return last && rows.length === limit ? key.map((column) => Number(last[column])) : undefined;
}
