import type { Digest } from '../../../oci/index.ts';
import { digestOfRow, type Row } from '../rows.ts';
import type { GarbageRecords, Need, ReviewKind, SweepCursor, SweepStep, UnderReview } from '../types.ts';
import type { Database, Transaction } from './database.ts';

const maxNeeds = 100;

/** Rows under review with what they stand for, when that was pushed, linked or stored, and when it was used last. */
const listing: Readonly<Record<ReviewKind, string>> = {
  manifest: `
    SELECT v.id AS review_id, m.id, r.id AS repository_id, r.name AS repository, m.digest, m.size, m.pushed_at AS at
    FROM registry_review v
    LEFT JOIN registry_manifests m ON m.id = v.subject_id
    LEFT JOIN registry_repositories r ON r.id = m.repository_id
    WHERE v.kind = 'manifest' AND v.since < $1 AND v.id > $2 ORDER BY v.id LIMIT $3`,
  link: `
    SELECT v.id AS review_id, b.id, r.id AS repository_id, r.name AS repository, b.digest, b.size,
      greatest(l.linked_at, b.used_at) AS at
    FROM registry_review v
    LEFT JOIN registry_blob_links l ON l.repository_id = v.repository_id AND l.blob_id = v.subject_id
    LEFT JOIN registry_blobs b ON b.id = l.blob_id
    LEFT JOIN registry_repositories r ON r.id = l.repository_id
    WHERE v.kind = 'link' AND v.since < $1 AND v.id > $2 ORDER BY v.id LIMIT $3`,
  blob: `
    SELECT v.id AS review_id, b.id, 0 AS repository_id, '' AS repository, b.digest, b.size, b.stored_at AS at
    FROM registry_review v
    LEFT JOIN registry_blobs b ON b.id = v.subject_id AND b.size IS NOT NULL
    WHERE v.kind = 'blob' AND v.since < $1 AND v.id > $2 ORDER BY v.id LIMIT $3`,
};

/** What may be reviewed again: page by page of the tables themselves. */
const everything: Readonly<Record<ReviewKind, string>> = {
  manifest: `
    SELECT id AS a, 0 AS b, repository_id, id AS subject_id, pushed_at AS since FROM registry_manifests
    WHERE (id, 0) > ($1, $2) ORDER BY id LIMIT $3`,
  link: `
    SELECT repository_id AS a, blob_id AS b, repository_id, blob_id AS subject_id, linked_at AS since
    FROM registry_blob_links WHERE (repository_id, blob_id) > ($1, $2) ORDER BY repository_id, blob_id LIMIT $3`,
  blob: `
    SELECT id AS a, 0 AS b, 0 AS repository_id, id AS subject_id, coalesce(stored_at, 0) AS since
    FROM registry_blobs WHERE (id, 0) > ($1, $2) AND size IS NOT NULL ORDER BY id LIMIT $3`,
};
const kinds: readonly ReviewKind[] = ['manifest', 'link', 'blob'];

/** {@link GarbageRecords} over PostgreSQL; triggers of the schema keep the list. */
export class PostgresGarbage implements GarbageRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async reviewAll(limit: number, cursor: SweepCursor = [0, 0, 0]): Promise<SweepStep<number>> {
    const [place = 0, a = 0, b = 0] = cursor;
    const kind = kinds[place];
    if (kind === undefined) return { found: 0, next: undefined };
    const rows = await this.#database.rows(everything[kind], [a, b, limit]);
    await this.#database.write(async (transaction) => {
      for (const row of rows) {
        await transaction.run(
          `INSERT INTO registry_review (kind, repository_id, subject_id, since) VALUES ($1, $2, $3, $4)
           ON CONFLICT (kind, repository_id, subject_id) DO NOTHING`,
          [kind, Number(row['repository_id']), Number(row['subject_id']), Number(row['since'])],
        );
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

  async underReview(
    kind: ReviewKind,
    before: number,
    limit: number,
    cursor: SweepCursor = [0],
  ): Promise<SweepStep<readonly UnderReview[]>> {
    const rows = await this.#database.rows(listing[kind], [before, cursor[0] ?? 0, limit]);
    const found: UnderReview[] = [];
    for (const row of rows) {
      const item = await underReview(this.#database, kind, row);
      if (item && item.since < before) found.push(item);
    }
    return { found, next: nextCursor(rows, limit) };
  }

  async review(
    kind: ReviewKind,
    before: number,
    limit: number,
    keep: (digest: Digest) => boolean,
    cursor: SweepCursor = [0],
  ): Promise<SweepStep<readonly UnderReview[]>> {
    return await this.#database.write(async (transaction) => {
      const rows = await transaction.rows(listing[kind], [before, cursor[0] ?? 0, limit]);
      const found: UnderReview[] = [];
      for (const row of rows) {
        const item = await underReview(transaction, kind, row);
        if (item && (item.since >= before || keep(item.digest))) continue;
        if (item && item.needs.length === 0) found.push(item);
        // A blob without a need stays on the list until its bytes are gone.
        if (item && item.needs.length === 0 && kind === 'blob') continue;
        await transaction.run('DELETE FROM registry_review WHERE id = $1', [Number(row['review_id'])]);
        if (item && item.needs.length === 0) await remove(transaction, item);
      }
      return { found, next: nextCursor(rows, limit) };
    });
  }

  async forgetBlob(digest: Digest): Promise<boolean> {
    return await this.#database.write(async (transaction) => {
      await transaction.run(
        `DELETE FROM registry_review WHERE kind = 'blob' AND repository_id = 0
         AND subject_id = (SELECT id FROM registry_blobs WHERE digest = $1)`,
        [digest],
      );
      const changes = await transaction.run(
        `UPDATE registry_blobs SET size = NULL, stored_at = NULL, damaged_at = NULL WHERE digest = $1
         AND NOT EXISTS (SELECT 1 FROM registry_blob_links l WHERE l.blob_id = registry_blobs.id)`,
        [digest],
      );
      if (changes === 0) return false;
      await transaction.run(
        `DELETE FROM registry_blobs WHERE digest = $1
         AND NOT EXISTS (SELECT 1 FROM registry_manifest_blobs m WHERE m.blob_id = registry_blobs.id)`,
        [digest],
      );
      return true;
    });
  }

  async knowsBlob(digest: Digest): Promise<boolean> {
    const rows = await this.#database.rows(
      'SELECT 1 FROM registry_blobs WHERE digest = $1 AND size IS NOT NULL',
      [digest],
    );
    return rows.length > 0;
  }
}

/** undefined when what was to be looked at is gone. */
async function underReview(
  database: Pick<Transaction, 'rows'>,
  kind: ReviewKind,
  row: Row,
): Promise<UnderReview | undefined> {
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
  return { ...item, needs: await needs(database, item) };
}

async function needs(
  database: Pick<Transaction, 'rows'>,
  { kind, id, repositoryId, digest }: Omit<UnderReview, 'needs'>,
): Promise<Need[]> {
  const named = async (text: string, ...values: (string | number)[]): Promise<Row[]> =>
    await database.rows(`${text} LIMIT ${maxNeeds}`, values);
  const manifests = (need: 'index' | 'subject' | 'manifest', rows: readonly Row[]): Need[] =>
    rows.map((row) => ({ kind: need, digest: digestOfRow(row), id: Number(row['id']) }));
  if (kind === 'blob') {
    const rows = await named(
      `SELECT r.name, r.id FROM registry_blob_links l JOIN registry_repositories r ON r.id = l.repository_id
       WHERE l.blob_id = $1`,
      id,
    );
    return rows.map((row) => ({ kind: 'repository', name: String(row['name']), id: Number(row['id']) }));
  }
  if (kind === 'link') {
    const rows = await named(
      `SELECT m.id, m.digest FROM registry_manifest_blobs n JOIN registry_manifests m ON m.id = n.manifest_id
       WHERE n.blob_id = $1 AND n.repository_id = $2`,
      id,
      repositoryId,
    );
    return manifests('manifest', rows);
  }
  const tags = await named('SELECT name FROM registry_tags WHERE manifest_id = $1', id);
  const indexes = await named(
    `SELECT m.id, m.digest FROM registry_manifest_children c JOIN registry_manifests m ON m.id = c.manifest_id
     WHERE c.repository_id = $1 AND c.child = $2`,
    repositoryId,
    digest,
  );
  const subjects = await named(
    `SELECT s.id, s.digest FROM registry_manifests m
     JOIN registry_manifests s ON s.repository_id = m.repository_id AND s.digest = m.subject WHERE m.id = $1`,
    id,
  );
  return [
    ...tags.map((row): Need => ({ kind: 'tag', name: String(row['name']) })),
    ...manifests('index', indexes),
    ...manifests('subject', subjects),
  ];
}

async function remove(transaction: Transaction, { kind, id, repositoryId }: UnderReview): Promise<void> {
  if (kind === 'manifest') await transaction.run('DELETE FROM registry_manifests WHERE id = $1', [id]);
  else {
    await transaction.run('DELETE FROM registry_blob_links WHERE repository_id = $1 AND blob_id = $2', [
      repositoryId,
      id,
    ]);
  }
}

function nextCursor(rows: readonly Row[], limit: number): SweepCursor | undefined {
  const last = rows.at(-1);
  return last && rows.length === limit ? [Number(last['review_id'])] : undefined;
}
