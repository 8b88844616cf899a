import type { Digest } from '../../oci/index.ts';
import type { State } from '../../state/index.ts';
import type { GroupCommit } from './group-commit.ts';
import { digestOfRow, type Row } from './rows.ts';
import type { GarbageRecords, Need, ReviewKind, SweepCursor, SweepStep, UnderReview } from './types.ts';

const maxNeeds = 100;

/** Rows under review with what they stand for, and when that was pushed, linked or stored. */
const listing: Readonly<Record<ReviewKind, string>> = {
  manifest: `
    SELECT v.id AS review_id, m.id, r.id AS repository_id, r.name AS repository, m.digest, m.size, m.pushed_at AS at
    FROM registry_review v
    LEFT JOIN registry_manifests m ON m.id = v.subject_id
    LEFT JOIN registry_repositories r ON r.id = m.repository_id
    WHERE v.kind = 'manifest' AND v.since < ? AND v.id > ? ORDER BY v.id LIMIT ?`,
  link: `
    SELECT v.id AS review_id, b.id, r.id AS repository_id, r.name AS repository, b.digest, b.size, l.linked_at AS at
    FROM registry_review v
    LEFT JOIN registry_blob_links l ON l.repository_id = v.repository_id AND l.blob_id = v.subject_id
    LEFT JOIN registry_blobs b ON b.id = l.blob_id
    LEFT JOIN registry_repositories r ON r.id = l.repository_id
    WHERE v.kind = 'link' AND v.since < ? AND v.id > ? ORDER BY v.id LIMIT ?`,
  blob: `
    SELECT v.id AS review_id, b.id, 0 AS repository_id, '' AS repository, b.digest, b.size, b.stored_at AS at
    FROM registry_review v
    LEFT JOIN registry_blobs b ON b.id = v.subject_id AND b.size IS NOT NULL
    WHERE v.kind = 'blob' AND v.since < ? AND v.id > ? ORDER BY v.id LIMIT ?`,
};

/** What may be reviewed again: page by page of the tables themselves. */
const everything: Readonly<Record<ReviewKind, string>> = {
  manifest: `
    SELECT id AS a, 0 AS b, repository_id, id AS subject_id, pushed_at AS since FROM registry_manifests
    WHERE (id, 0) > (?, ?) ORDER BY id LIMIT ?`,
  link: `
    SELECT repository_id AS a, blob_id AS b, repository_id, blob_id AS subject_id, linked_at AS since
    FROM registry_blob_links WHERE (repository_id, blob_id) > (?, ?) ORDER BY repository_id, blob_id LIMIT ?`,
  blob: `
    SELECT id AS a, 0 AS b, 0 AS repository_id, id AS subject_id, coalesce(stored_at, 0) AS since FROM registry_blobs
    WHERE (id, 0) > (?, ?) AND size IS NOT NULL ORDER BY id LIMIT ?`,
};
const kinds: readonly ReviewKind[] = ['manifest', 'link', 'blob'];

/** {@link GarbageRecords} over SQLite; triggers of the schema keep the list. */
export class SqliteGarbage implements GarbageRecords {
  readonly #state: State;
  readonly #commits: GroupCommit;

  constructor(state: State, commits: GroupCommit) {
    this.#state = state;
    this.#commits = commits;
  }

  async reviewAll(limit: number, cursor: SweepCursor = [0, 0, 0]): Promise<SweepStep<number>> {
    const [place = 0, a = 0, b = 0] = cursor;
    const kind = kinds[place];
    if (kind === undefined) return { found: 0, next: undefined };
    const rows = this.#state.prepare(everything[kind]).all(a, b, limit);
    await this.#commits.write(() => {
      const insert = this.#state.prepare(
        `INSERT INTO registry_review (kind, repository_id, subject_id, since) VALUES (?, ?, ?, ?)
         ON CONFLICT (kind, repository_id, subject_id) DO NOTHING`,
      );
      for (const row of rows) {
        insert.run(kind, Number(row['repository_id']), Number(row['subject_id']), Number(row['since']));
      }
    });
    const last = rows.at(-1);
    const next =
      last && rows.length === limit
        ? [place, Number(last['a']), Number(last['b'])]
        : place + 1 < kinds.length
          ? [place + 1, 0, 0]
          : undefined;
    return { found: rows.length, next };
  }

  underReview(
    kind: ReviewKind,
    before: number,
    limit: number,
    cursor: SweepCursor = [0],
  ): SweepStep<readonly UnderReview[]> {
    const rows = this.#rows(kind, before, limit, cursor);
    const found = rows
      .flatMap((row) => this.#underReview(kind, row) ?? [])
      .filter(({ since }) => since < before);
    return { found, next: nextCursor(rows, limit) };
  }

  async review(
    kind: ReviewKind,
    before: number,
    limit: number,
    keep: (digest: Digest) => boolean,
    cursor: SweepCursor = [0],
  ): Promise<SweepStep<readonly UnderReview[]>> {
    const listed = this.#rows(kind, before, limit, cursor);
    if (listed.length === 0) return { found: [], next: undefined };
    return await this.#commits.write(() => {
      const rows = this.#rows(kind, before, limit, cursor);
      const found: UnderReview[] = [];
      for (const row of rows) {
        const item = this.#underReview(kind, row);
        if (item && (item.since >= before || keep(item.digest))) continue;
        if (item && item.needs.length === 0) found.push(item);
        // A blob without a need stays on the list until its bytes are gone.
        if (item && item.needs.length === 0 && kind === 'blob') continue;
        this.#state.prepare('DELETE FROM registry_review WHERE id = ?').run(Number(row['review_id']));
        if (item && item.needs.length === 0) this.#remove(item);
      }
      return { found, next: nextCursor(rows, limit) };
    });
  }

  forgetBlob(digest: Digest): Promise<boolean> {
    return this.#commits.write(() => {
      this.#state
        .prepare(
          `DELETE FROM registry_review WHERE kind = 'blob' AND repository_id = 0
           AND subject_id = (SELECT id FROM registry_blobs WHERE digest = ?)`,
        )
        .run(digest);
      const { changes } = this.#state
        .prepare(
          `UPDATE registry_blobs SET size = NULL, stored_at = NULL, damaged_at = NULL WHERE digest = ?
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

  #rows(kind: ReviewKind, before: number, limit: number, cursor: SweepCursor): Row[] {
    return this.#state.prepare(listing[kind]).all(before, cursor[0] ?? 0, limit);
  }

  /** undefined when what was to be looked at is gone. */
  #underReview(kind: ReviewKind, row: Row): UnderReview | undefined {
    if (row['id'] === null) return undefined;
    const item = {
      kind,
      id: Number(row['id']),
      repository: String(row['repository']),
      repositoryId: Number(row['repository_id']),
      digest: digestOfRow(row),
      size: Number(row['size']),
      since: Number(row['at']),
    };
    return { ...item, needs: this.#needs(item) };
  }

  #needs({ kind, id, repositoryId, digest }: Omit<UnderReview, 'needs'>): Need[] {
    const named = (text: string, ...values: (string | number)[]): Row[] =>
      this.#state.prepare(`${text} LIMIT ${maxNeeds}`).all(...values);
    if (kind === 'blob') {
      return named(
        `SELECT r.name, r.id FROM registry_blob_links l JOIN registry_repositories r ON r.id = l.repository_id
         WHERE l.blob_id = ?`,
        id,
      ).map((row) => ({ kind: 'repository', name: String(row['name']), id: Number(row['id']) }));
    }
    const manifests = (need: 'index' | 'subject' | 'manifest', rows: readonly Row[]): Need[] =>
      rows.map((row) => ({ kind: need, digest: digestOfRow(row), id: Number(row['id']) }));
    if (kind === 'link') {
      return manifests(
        'manifest',
        named(
          `SELECT m.id, m.digest FROM registry_manifest_blobs n JOIN registry_manifests m ON m.id = n.manifest_id
           WHERE n.blob_id = ? AND n.repository_id = ?`,
          id,
          repositoryId,
        ),
      );
    }
    return [
      ...named('SELECT name FROM registry_tags WHERE manifest_id = ?', id).map(
        (row): Need => ({ kind: 'tag', name: String(row['name']) }),
      ),
      ...manifests(
        'index',
        named(
          `SELECT m.id, m.digest FROM registry_manifest_children c JOIN registry_manifests m ON m.id = c.manifest_id
           WHERE c.repository_id = ? AND c.child = ?`,
          repositoryId,
          digest,
        ),
      ),
      ...manifests(
        'subject',
        named(
          `SELECT s.id, s.digest FROM registry_manifests m
           JOIN registry_manifests s ON s.repository_id = m.repository_id AND s.digest = m.subject
           WHERE m.id = ?`,
          id,
        ),
      ),
    ];
  }

  #remove({ kind, id, repositoryId }: UnderReview): void {
    if (kind === 'manifest') this.#state.prepare('DELETE FROM registry_manifests WHERE id = ?').run(id);
    else {
      this.#state
        .prepare('DELETE FROM registry_blob_links WHERE repository_id = ? AND blob_id = ?')
        .run(repositoryId, id);
    }
  }
}

function nextCursor(rows: readonly Row[], limit: number): SweepCursor | undefined {
  const last = rows.at(-1);
  return last && rows.length === limit ? [Number(last['review_id'])] : undefined;
}
