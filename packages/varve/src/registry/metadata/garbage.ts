import type { Digest } from '../../oci/index.ts';
import { digestOfRow, type Row } from './rows.ts';
import { change, type Records, row, rows, type Steps } from './steps.ts';
import type {
  Awaitable,
  GarbageRecords,
  Need,
  ReviewKind,
  SweepCursor,
  SweepStep,
  UnderReview,
} from './types.ts';

const maxNeeds = 100;

/**
 * Rows under review with what they stand for, and when that was pushed, linked (or used last) or stored.
 * @param linkAge see Dialect
 */
function listings(linkAge: string): Readonly<Record<ReviewKind, string>> {
  return {
    manifest: `
    SELECT v.id AS review_id, m.id, r.id AS repository_id, r.name AS repository, m.digest, m.size, m.pushed_at AS at
    FROM registry_review v
    LEFT JOIN registry_manifests m ON m.id = v.subject_id
    LEFT JOIN registry_repositories r ON r.id = m.repository_id
    WHERE v.kind = 'manifest' AND v.since < ?1 AND v.id > ?2 ORDER BY v.id LIMIT ?3`,
    link: `
    SELECT v.id AS review_id, b.id, r.id AS repository_id, r.name AS repository, b.digest, b.size, ${linkAge} AS at
    FROM registry_review v
    LEFT JOIN registry_blob_links l ON l.repository_id = v.repository_id AND l.blob_id = v.subject_id
    LEFT JOIN registry_blobs b ON b.id = l.blob_id
    LEFT JOIN registry_repositories r ON r.id = l.repository_id
    WHERE v.kind = 'link' AND v.since < ?1 AND v.id > ?2 ORDER BY v.id LIMIT ?3`,
    blob: `
    SELECT v.id AS review_id, b.id, 0 AS repository_id, '' AS repository, b.digest, b.size, b.stored_at AS at
    FROM registry_review v
    LEFT JOIN registry_blobs b ON b.id = v.subject_id AND b.size IS NOT NULL
    WHERE v.kind = 'blob' AND v.since < ?1 AND v.id > ?2 ORDER BY v.id LIMIT ?3`,
  };
}

/** What may be reviewed again: page by page of the tables themselves. */
const everything: Readonly<Record<ReviewKind, string>> = {
  manifest: `
    SELECT id AS a, 0 AS b, repository_id, id AS subject_id, pushed_at AS since FROM registry_manifests
    WHERE (id, 0) > (?1, ?2) ORDER BY id LIMIT ?3`,
  link: `
    SELECT repository_id AS a, blob_id AS b, repository_id, blob_id AS subject_id, linked_at AS since
    FROM registry_blob_links WHERE (repository_id, blob_id) > (?1, ?2) ORDER BY repository_id, blob_id LIMIT ?3`,
  blob: `
    SELECT id AS a, 0 AS b, 0 AS repository_id, id AS subject_id, coalesce(stored_at, 0) AS since FROM registry_blobs
    WHERE (id, 0) > (?1, ?2) AND size IS NOT NULL ORDER BY id LIMIT ?3`,
};
const kinds: readonly ReviewKind[] = ['manifest', 'link', 'blob'];

/** {@link GarbageRecords} in SQL; triggers of the schema keep the list. */
export class Garbage implements GarbageRecords {
  readonly #records: Records;
  readonly #listing: Readonly<Record<ReviewKind, string>>;

  constructor(records: Records) {
    this.#records = records;
    this.#listing = listings(records.dialect.linkAge);
  }

  async reviewAll(limit: number, cursor: SweepCursor = [0, 0, 0]): Promise<SweepStep<number>> {
    const [place = 0, a = 0, b = 0] = cursor;
    const kind = kinds[place];
    if (kind === undefined) return { found: 0, next: undefined };
    const found = await this.#records.read(rows(everything[kind], a, b, limit));
    await this.#records.write(() => listAll(kind, found));
    const last = found.at(-1);
    const next =
      last && found.length === limit
        ? [place, Number(last['a']), Number(last['b'])]
        : place + 1 < kinds.length
          ? [place + 1, 0, 0]
          : undefined;
    return { found: found.length, next };
  }

  underReview(
    kind: ReviewKind,
    before: number,
    limit: number,
    cursor: SweepCursor = [0],
  ): Awaitable<SweepStep<readonly UnderReview[]>> {
    return this.#records.read(plan(this.#listed(kind, before, limit, cursor), kind, before, limit));
  }

  async review(
    kind: ReviewKind,
    before: number,
    limit: number,
    keep: (digest: Digest) => boolean,
    cursor: SweepCursor = [0],
  ): Promise<SweepStep<readonly UnderReview[]>> {
    const listed = await this.#records.read(this.#listed(kind, before, limit, cursor));
    if (listed.length === 0) return { found: [], next: undefined };
    return await this.#records.write(() =>
      judge(this.#listed(kind, before, limit, cursor), kind, before, limit, keep),
    );
  }

  forgetBlob(digest: Digest): Promise<boolean> {
    return this.#records.write(() => forget(digest));
  }

  knowsBlob(digest: Digest): Awaitable<boolean> {
    return this.#records.read(isStored(digest));
  }

  #listed(kind: ReviewKind, before: number, limit: number, cursor: SweepCursor): Steps<readonly Row[]> {
    return rows(this.#listing[kind], before, cursor[0] ?? 0, limit);
  }
}

function* listAll(kind: ReviewKind, found: readonly Row[]): Steps<void> {
  for (const one of found) {
    yield* change(
      `INSERT INTO registry_review (kind, repository_id, subject_id, since) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (kind, repository_id, subject_id) DO NOTHING`,
      kind,
      Number(one['repository_id']),
      Number(one['subject_id']),
      Number(one['since']),
    );
  }
}

function* plan(
  list: Steps<readonly Row[]>,
  kind: ReviewKind,
  before: number,
  limit: number,
): Steps<SweepStep<readonly UnderReview[]>> {
  const listed = yield* list;
  const found: UnderReview[] = [];
  for (const one of listed) {
    const item = yield* underReview(kind, one);
    if (item && item.since < before) found.push(item);
  }
  return { found, next: nextCursor(listed, limit) };
}

function* judge(
  list: Steps<readonly Row[]>,
  kind: ReviewKind,
  before: number,
  limit: number,
  keep: (digest: Digest) => boolean,
): Steps<SweepStep<readonly UnderReview[]>> {
  const listed = yield* list;
  const found: UnderReview[] = [];
  for (const one of listed) {
    const item = yield* underReview(kind, one);
    if (item && (item.since >= before || keep(item.digest))) continue;
    if (item && item.needs.length === 0) found.push(item);
    // A blob without a need stays on the list until its bytes are gone.
    if (item && item.needs.length === 0 && kind === 'blob') continue;
    yield* change('DELETE FROM registry_review WHERE id = ?1', Number(one['review_id']));
    if (item && item.needs.length === 0) yield* remove(item);
  }
  return { found, next: nextCursor(listed, limit) };
}

/** undefined when what was to be looked at is gone. */
function* underReview(kind: ReviewKind, listed: Row): Steps<UnderReview | undefined> {
  if (listed['id'] === null) return undefined;
  const item = {
    kind,
    id: Number(listed['id']),
    repository: String(listed['repository']),
    repositoryId: Number(listed['repository_id']),
    digest: digestOfRow(listed),
    size: Number(listed['size']),
    since: Number(listed['at']),
  };
  return { ...item, needs: yield* needsOf(item) };
}

function* needsOf({ kind, id, repositoryId, digest }: Omit<UnderReview, 'needs'>): Steps<Need[]> {
  const manifests = (need: 'index' | 'subject' | 'manifest', found: readonly Row[]): Need[] =>
    found.map((one) => ({ kind: need, digest: digestOfRow(one), id: Number(one['id']) }));
  if (kind === 'blob') {
    const repositories = yield* rows(
      `SELECT r.name, r.id FROM registry_blob_links l JOIN registry_repositories r ON r.id = l.repository_id
       WHERE l.blob_id = ?1 LIMIT ${maxNeeds}`,
      id,
    );
    return repositories.map((one) => ({
      kind: 'repository',
      name: String(one['name']),
      id: Number(one['id']),
    }));
  }
  if (kind === 'link') {
    const naming = yield* rows(
      `SELECT m.id, m.digest FROM registry_manifest_blobs n JOIN registry_manifests m ON m.id = n.manifest_id
       WHERE n.blob_id = ?1 AND n.repository_id = ?2 LIMIT ${maxNeeds}`,
      id,
      repositoryId,
    );
    return manifests('manifest', naming);
  }
  const tags = yield* rows(`SELECT name FROM registry_tags WHERE manifest_id = ?1 LIMIT ${maxNeeds}`, id);
  const indexes = yield* rows(
    `SELECT m.id, m.digest FROM registry_manifest_children c JOIN registry_manifests m ON m.id = c.manifest_id
     WHERE c.repository_id = ?1 AND c.child = ?2 LIMIT ${maxNeeds}`,
    repositoryId,
    digest,
  );
  const subjects = yield* rows(
    `SELECT s.id, s.digest FROM registry_manifests m
     JOIN registry_manifests s ON s.repository_id = m.repository_id AND s.digest = m.subject
     WHERE m.id = ?1 LIMIT ${maxNeeds}`,
    id,
  );
  return [
    ...tags.map((one): Need => ({ kind: 'tag', name: String(one['name']) })),
    ...manifests('index', indexes),
    ...manifests('subject', subjects),
  ];
}

function* remove({ kind, id, repositoryId }: UnderReview): Steps<void> {
  if (kind === 'manifest') yield* change('DELETE FROM registry_manifests WHERE id = ?1', id);
  else {
    yield* change(
      'DELETE FROM registry_blob_links WHERE repository_id = ?1 AND blob_id = ?2',
      repositoryId,
      id,
    );
  }
}

function* forget(digest: Digest): Steps<boolean> {
  yield* change(
    `DELETE FROM registry_review WHERE kind = 'blob' AND repository_id = 0
     AND subject_id = (SELECT id FROM registry_blobs WHERE digest = ?1)`,
    digest,
  );
  const forgotten = yield* change(
    `UPDATE registry_blobs SET size = NULL, stored_at = NULL, damaged_at = NULL WHERE digest = ?1
     AND NOT EXISTS (SELECT 1 FROM registry_blob_links l WHERE l.blob_id = registry_blobs.id)`,
    digest,
  );
  if (forgotten === 0) return false;
  yield* change(
    `DELETE FROM registry_blobs WHERE digest = ?1
     AND NOT EXISTS (SELECT 1 FROM registry_manifest_blobs m WHERE m.blob_id = registry_blobs.id)`,
    digest,
  );
  return true;
}

function* isStored(digest: Digest): Steps<boolean> {
  const found = yield* row('SELECT 1 FROM registry_blobs WHERE digest = ?1 AND size IS NOT NULL', digest);
  return found !== undefined;
}

function nextCursor(listed: readonly Row[], limit: number): SweepCursor | undefined {
  const last = listed.at(-1);
  return last && listed.length === limit ? [Number(last['review_id'])] : undefined;
}
