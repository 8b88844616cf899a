import type { Descriptor, Digest } from '../../../oci/index.ts';
import { deliveryOfRow } from '../deliveries.ts';
import { Garbage } from '../garbage.ts';
import { Robots } from '../robots.ts';
import { digestOfRow, referrerOfRow, type Row, uncopiedOfRow } from '../rows.ts';
import { Scrubbing } from '../scrub.ts';
import type {
  BlobRecord,
  ClaimedDelivery,
  Deletion,
  ManifestRecord,
  MetadataStore,
  NewDelivery,
  NewManifest,
  Page,
  Pull,
  QuotaLimit,
  RepositoryUsage,
  TagRecord,
  Uncopied,
  WriteRules,
} from '../types.ts';
import { overQuota } from '../usage.ts';
import { Database, type Transaction } from './database.ts';
import { PostgresRecords } from './postgres-records.ts';
import { putManifest } from './put-manifest.ts';

/** The records in PostgreSQL, for several registries that serve the same repositories. */
export class PostgresMetadata implements MetadataStore {
  readonly garbage: Garbage;
  readonly scrubbing: Scrubbing;
  readonly robots: Robots;
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
    const records = new PostgresRecords(database);
    // Other nodes tell clients of blobs, too: see useBlob.
    this.garbage = new Garbage(records, { linkAge: 'greatest(l.linked_at, b.used_at)' });
    this.scrubbing = new Scrubbing(records);
    this.robots = new Robots(records);
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

  async hasRepository(repository: string): Promise<boolean> {
    return (await this.#rows('SELECT 1 FROM registry_repositories WHERE name = $1', repository)).length > 0;
  }

  async repositories(page: Page): Promise<string[]> {
    const rows = await this.#rows(
      'SELECT name FROM registry_repositories WHERE name > $1 ORDER BY name LIMIT $2',
      page.after ?? '',
      page.limit,
    );
    return rows.map((row) => String(row['name']));
  }

  async blob(repository: string, digest: Digest): Promise<BlobRecord | undefined> {
    const [row] = await this.#rows(
      `SELECT b.digest, b.size FROM registry_blobs b
       JOIN registry_blob_links l ON l.blob_id = b.id
       JOIN registry_repositories r ON r.id = l.repository_id
       WHERE r.name = $1 AND b.digest = $2 AND b.damaged_at IS NULL`,
      repository,
      digest,
    );
    return row && { digest, size: Number(row['size']) };
  }

  async addBlob(repository: string, blob: BlobRecord, { limits }: WriteRules = {}): Promise<void> {
    await this.#database.write(async (transaction) => {
      const id = await repositoryId(transaction, repository);
      await within(transaction, limits, async () => {
        await transaction.run(
          `INSERT INTO registry_blobs (digest, size, stored_at) VALUES ($1, $2, $3)
           ON CONFLICT (digest) DO UPDATE
           SET size = excluded.size, stored_at = excluded.stored_at, damaged_at = NULL`,
          [blob.digest, blob.size, Date.now()],
        );
        await link(transaction, id, blob.digest);
      });
    });
  }

  async linkBlob(repository: string, digest: Digest, { limits }: WriteRules = {}): Promise<boolean> {
    return await this.#database.write(async (transaction) => {
      const stored = await transaction.rows(
        'SELECT 1 FROM registry_blobs WHERE digest = $1 AND size IS NOT NULL AND damaged_at IS NULL',
        [digest],
      );
      if (stored.length === 0) return false;
      const id = await repositoryId(transaction, repository);
      await within(transaction, limits, () => link(transaction, id, digest));
      return true;
    });
  }

  async repositoriesOfBlob(digest: Digest, limit: number): Promise<string[]> {
    const rows = await this.#rows(
      `SELECT r.name FROM registry_blobs b
       JOIN registry_blob_links l ON l.blob_id = b.id
       JOIN registry_repositories r ON r.id = l.repository_id
       WHERE b.digest = $1 AND b.size IS NOT NULL AND b.damaged_at IS NULL LIMIT $2`,
      digest,
      limit,
    );
    return rows.map((row) => String(row['name']));
  }

  async subjectOf(repository: string, digest: Digest): Promise<Digest | undefined> {
    const [row] = await this.#rows(
      `SELECT m.subject AS digest FROM registry_manifests m JOIN registry_repositories r ON r.id = m.repository_id
       WHERE r.name = $1 AND m.digest = $2 AND m.subject IS NOT NULL`,
      repository,
      digest,
    );
    return row && digestOfRow(row);
  }

  async indexesOf(repository: string, digest: Digest, limit: number): Promise<Digest[]> {
    const rows = await this.#rows(
      `SELECT m.digest FROM registry_manifest_children c
       JOIN registry_manifests m ON m.id = c.manifest_id
       JOIN registry_repositories r ON r.id = c.repository_id
       WHERE r.name = $1 AND c.child = $2 LIMIT $3`,
      repository,
      digest,
      limit,
    );
    return rows.map(digestOfRow);
  }

  async manifestsOfBlob(repository: string, digest: Digest): Promise<Digest[]> {
    const rows = await this.#rows(
      `SELECT m.digest FROM registry_blobs b
       JOIN registry_manifest_blobs n ON n.blob_id = b.id
       JOIN registry_manifests m ON m.id = n.manifest_id
       JOIN registry_repositories r ON r.id = m.repository_id
       WHERE r.name = $1 AND b.digest = $2 LIMIT 100`,
      repository,
      digest,
    );
    return rows.map(digestOfRow);
  }

  async removeBlob(repository: string, digest: Digest): Promise<Deletion> {
    return await this.#database.write(async (transaction): Promise<Deletion> => {
      const [row] = await transaction.rows(
        `SELECT l.repository_id, l.blob_id, EXISTS (
           SELECT 1 FROM registry_manifest_blobs n WHERE n.blob_id = l.blob_id AND n.repository_id = l.repository_id
         ) AS needed
         FROM registry_blob_links l
         JOIN registry_repositories r ON r.id = l.repository_id JOIN registry_blobs b ON b.id = l.blob_id
         WHERE r.name = $1 AND b.digest = $2 AND b.damaged_at IS NULL`,
        [repository, digest],
      );
      if (!row) return 'unknown';
      if (row['needed'] === true) return 'referenced';
      await transaction.run('DELETE FROM registry_blob_links WHERE repository_id = $1 AND blob_id = $2', [
        Number(row['repository_id']),
        Number(row['blob_id']),
      ]);
      return 'deleted';
    });
  }

  async useBlob(repository: string, digest: Digest, since: number): Promise<BlobRecord | undefined> {
    const find = `SELECT b.id, b.size, greatest(l.linked_at, b.used_at) AS at FROM registry_blobs b
       JOIN registry_blob_links l ON l.blob_id = b.id
       JOIN registry_repositories r ON r.id = l.repository_id
       WHERE r.name = $1 AND b.digest = $2 AND b.damaged_at IS NULL`;
    const [row] = await this.#rows(find, repository, digest);
    if (row && Number(row['at']) >= since) return { digest, size: Number(row['size']) };
    if (!row) return undefined;
    // Read again in the transaction: a collection that judges by the older time is before or after, not beside.
    return await this.#database.write(async (transaction) => {
      const [current] = await transaction.rows(find, [repository, digest]);
      if (!current) return undefined;
      if (Number(current['at']) < since) {
        await transaction.run('UPDATE registry_blobs SET used_at = $2 WHERE id = $1', [
          Number(current['id']),
          Date.now(),
        ]);
      }
      return { digest, size: Number(current['size']) };
    });
  }

  async manifestByTag(repository: string, tag: string): Promise<ManifestRecord | undefined> {
    const [row] = await this.#rows(
      `SELECT m.digest, m.media_type, m.size FROM registry_tags t
       JOIN registry_repositories r ON r.id = t.repository_id
       JOIN registry_manifests m ON m.id = t.manifest_id
       WHERE r.name = $1 AND t.name = $2`,
      repository,
      tag,
    );
    return row && manifestRecord(row);
  }

  async manifestByDigest(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const [row] = await this.#rows(
      `SELECT m.digest, m.media_type, m.size FROM registry_manifests m
       JOIN registry_repositories r ON r.id = m.repository_id WHERE r.name = $1 AND m.digest = $2`,
      repository,
      digest,
    );
    return row && manifestRecord(row);
  }

  async manifestContent(repository: string, digest: Digest): Promise<Uint8Array | undefined> {
    const [row] = await this.#rows(
      `SELECT m.content FROM registry_manifests m
       JOIN registry_repositories r ON r.id = m.repository_id WHERE r.name = $1 AND m.digest = $2`,
      repository,
      digest,
    );
    const content = row?.['content'];
    return content instanceof Uint8Array ? content : undefined;
  }

  async putManifest(
    repository: string,
    manifest: NewManifest,
    tags: readonly string[],
    rules: WriteRules = {},
  ): Promise<void> {
    await this.#database.write(async (transaction) => {
      const id = await repositoryId(transaction, repository);
      await within(transaction, rules.limits, () => putManifest(transaction, id, manifest, tags, rules));
      await addDeliveries(transaction, rules.deliveries);
    });
  }

  async removeManifest(
    repository: string,
    digest: Digest,
    { immutable, deliveries }: WriteRules = {},
  ): Promise<Deletion> {
    return await this.#database.write(async (transaction): Promise<Deletion> => {
      const tags = await transaction.rows(
        `SELECT t.name FROM registry_tags t JOIN registry_manifests m ON m.id = t.manifest_id
         JOIN registry_repositories r ON r.id = m.repository_id WHERE r.name = $1 AND m.digest = $2`,
        [repository, digest],
      );
      if (immutable && tags.some((row) => immutable(String(row['name'])))) return 'immutable';
      const removed = await transaction.run(
        `DELETE FROM registry_manifests WHERE digest = $2
         AND repository_id = (SELECT id FROM registry_repositories WHERE name = $1)`,
        [repository, digest],
      );
      if (removed === 0) return 'unknown';
      await addDeliveries(transaction, deliveries);
      return 'deleted';
    });
  }

  async removeTag(
    repository: string,
    tag: string,
    options: {
      readonly unchangedSince?: number | undefined;
      readonly deliveries?: readonly NewDelivery[];
    } = {},
  ): Promise<Deletion> {
    return await this.#database.write(async (transaction): Promise<Deletion> => {
      const removed = await transaction.run(
        `DELETE FROM registry_tags WHERE name = $2 AND updated_at <= $3
         AND repository_id = (SELECT id FROM registry_repositories WHERE name = $1)`,
        [repository, tag, options.unchangedSince ?? Number.MAX_SAFE_INTEGER],
      );
      if (removed === 0) return 'unknown';
      await addDeliveries(transaction, options.deliveries);
      return 'deleted';
    });
  }

  async claimDeliveries(now: number, until: number, limit: number): Promise<ClaimedDelivery[]> {
    // Those that another server is just claiming are passed over.
    const rows = await this.#database.rows(
      `UPDATE registry_deliveries SET due_at = $2 WHERE id IN (
         SELECT id FROM registry_deliveries WHERE due_at <= $1 ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
       ) RETURNING *`,
      [now, until, limit],
    );
    return rows.map(deliveryOfRow).toSorted((a, b) => a.id - b.id);
  }

  async postponeDelivery(id: number, dueAt: number): Promise<void> {
    await this.#database.rows(
      'UPDATE registry_deliveries SET due_at = $2, attempts = attempts + 1 WHERE id = $1',
      [id, dueAt],
    );
  }

  async dropDelivery(id: number): Promise<void> {
    await this.#database.rows('DELETE FROM registry_deliveries WHERE id = $1', [id]);
  }

  async tags(repository: string, page: Page): Promise<string[]> {
    return (await this.tagRecords(repository, page)).map(({ name }) => name);
  }

  async tagRecords(repository: string, page: Page): Promise<TagRecord[]> {
    const rows = await this.#rows(
      `SELECT t.name, t.updated_at, t.pulled_at, m.digest FROM registry_tags t
       JOIN registry_repositories r ON r.id = t.repository_id
       JOIN registry_manifests m ON m.id = t.manifest_id
       WHERE r.name = $1 AND t.name > $2 ORDER BY t.name LIMIT $3`,
      repository,
      page.after ?? '',
      page.limit,
    );
    return rows.map((row) => ({
      name: String(row['name']),
      digest: digestOfRow(row),
      updatedAt: Number(row['updated_at']),
      pulledAt: row['pulled_at'] === null ? undefined : Number(row['pulled_at']),
    }));
  }

  async recordPulls(pulls: readonly Pull[]): Promise<void> {
    for (const { repository, reference, at } of pulls) {
      const [column, value] = 'tag' in reference ? ['t.name', reference.tag] : ['m.digest', reference.digest];
      await this.#database.rows(
        `UPDATE registry_tags u SET pulled_at = greatest(coalesce(u.pulled_at, 0), $3)
         FROM registry_tags t JOIN registry_repositories r ON r.id = t.repository_id
         JOIN registry_manifests m ON m.id = t.manifest_id
         WHERE r.name = $1 AND ${column} = $2 AND u.repository_id = t.repository_id AND u.name = t.name`,
        [repository, value, at],
      );
    }
  }

  async uncopied(limit: number): Promise<Uncopied[]> {
    const rows = await this.#rows(
      `SELECT u.id, u.version, u.kind, u.name, r.name AS repository FROM registry_uncopied u
       JOIN registry_repositories r ON r.id = u.repository_id ORDER BY u.id LIMIT $1`,
      limit,
    );
    return rows.map(uncopiedOfRow);
  }

  async copied({ id, version }: Uncopied): Promise<void> {
    await this.#database.run('DELETE FROM registry_uncopied WHERE id = $1 AND version = $2', [id, version]);
  }

  async usedBytes(scope: QuotaLimit['scope'], name: string): Promise<number> {
    return await usedBytes(this.#database, scope, name);
  }

  async totalBytes(): Promise<number> {
    const [row] = await this.#rows('SELECT sum(used_bytes) AS used FROM registry_repositories');
    return Number(row?.['used'] ?? 0);
  }

  async usages(page: Page): Promise<RepositoryUsage[]> {
    const rows = await this.#rows(
      'SELECT name, used_bytes FROM registry_repositories WHERE name > $1 ORDER BY name LIMIT $2',
      page.after ?? '',
      page.limit,
    );
    return rows.map((row) => ({ repository: String(row['name']), bytes: Number(row['used_bytes']) }));
  }

  async referrers(
    repository: string,
    subject: Digest,
    page: Page & { readonly artifactType?: string | undefined },
  ): Promise<Descriptor[]> {
    const rows = await this.#rows(
      `SELECT m.digest, m.media_type, m.size, m.artifact_type, m.annotations FROM registry_manifests m
       JOIN registry_repositories r ON r.id = m.repository_id
       WHERE r.name = $1 AND m.subject = $2 AND m.digest > $3 AND ($4::text IS NULL OR m.artifact_type = $4)
       ORDER BY m.digest LIMIT $5`,
      repository,
      subject,
      page.after ?? '',
      page.artifactType ?? null,
      page.limit,
    );
    return rows.map(referrerOfRow);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  async #rows(text: string, ...values: (string | number | null)[]): Promise<Row[]> {
    return await this.#database.rows(text, values);
  }
}

async function addDeliveries(
  transaction: Transaction,
  deliveries: readonly NewDelivery[] | undefined,
): Promise<void> {
  for (const { endpoint, body } of deliveries ?? []) {
    await transaction.run(
      'INSERT INTO registry_deliveries (endpoint, body, created_at, due_at) VALUES ($1, $2, $3, $3)',
      [endpoint, body, Date.now()],
    );
  }
}

async function repositoryId(transaction: Transaction, name: string): Promise<number> {
  const find = async (): Promise<number | undefined> => {
    const [row] = await transaction.rows('SELECT id FROM registry_repositories WHERE name = $1', [name]);
    return row && Number(row['id']);
  };
  const known = await find();
  if (known !== undefined) return known;
  const [row] = await transaction.rows(
    'INSERT INTO registry_repositories (name, created_at) VALUES ($1, $2) RETURNING id',
    [name, Date.now()],
  );
  return Number(row?.['id']);
}

async function link(transaction: Transaction, repository: number, digest: Digest): Promise<void> {
  await transaction.run(
    `INSERT INTO registry_blob_links (repository_id, blob_id, linked_at)
     SELECT $1, id, $2 FROM registry_blobs WHERE digest = $3
     ON CONFLICT (repository_id, blob_id) DO UPDATE SET linked_at = excluded.linked_at`,
    [repository, Date.now(), digest],
  );
}

async function usedBytes(
  database: Pick<Transaction, 'rows'>,
  scope: QuotaLimit['scope'],
  name: string,
): Promise<number> {
  const [row] =
    scope === 'repository'
      ? await database.rows('SELECT used_bytes AS used FROM registry_repositories WHERE name = $1', [name])
      : await database.rows(
          `SELECT coalesce(sum(used_bytes), 0) AS used FROM registry_repositories
           WHERE name = $1 OR (name > $1 || '/' AND name < $1 || '0')`,
          [name],
        );
  return Number(row?.['used'] ?? 0);
}

/** As Usage.within does for SQLite. @throws RegistryError `DENIED` */
async function within(
  transaction: Transaction,
  limits: readonly QuotaLimit[] | undefined,
  write: () => Promise<void>,
): Promise<void> {
  const before: number[] = [];
  for (const { scope, name } of limits ?? []) before.push(await usedBytes(transaction, scope, name));
  await write();
  for (const [index, limit] of (limits ?? []).entries()) {
    const was = before[index] ?? 0;
    const used = await usedBytes(transaction, limit.scope, limit.name);
    if (used > was && used > limit.bytes) throw overQuota(limit, was, used - was);
  }
}

function manifestRecord(row: Row): ManifestRecord {
  return { digest: digestOfRow(row), mediaType: String(row['media_type']), size: Number(row['size']) };
}
