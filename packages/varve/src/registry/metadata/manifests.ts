import type { Descriptor, Digest } from '../../oci/index.ts';
import type { State } from '../../state/index.ts';
import { RegistryError } from '../errors.ts';
import type { Blobs } from './blobs.ts';
import { digestOfRow, referrerOfRow, type Row } from './rows.ts';
import type { Deletion, ManifestRecord, NewManifest, Page, TagRecord, WriteRules } from './types.ts';

const maxReportedBlobs = 100;

/** Rows of manifests, their tags and what they name. The writing ones run inside a transaction. */
export class Manifests {
  readonly #state: State;
  readonly #blobs: Blobs;

  constructor(state: State, blobs: Blobs) {
    this.#state = state;
    this.#blobs = blobs;
  }

  byTag(repositoryId: number, tag: string): ManifestRecord | undefined {
    return record(
      this.#state
        .prepare(
          `SELECT m.digest, m.media_type, m.size FROM registry_tags t
           JOIN registry_manifests m ON m.id = t.manifest_id
           WHERE t.repository_id = ? AND t.name = ?`,
        )
        .get(repositoryId, tag),
    );
  }

  byDigest(repositoryId: number, digest: Digest): ManifestRecord | undefined {
    return record(
      this.#state
        .prepare(
          'SELECT digest, media_type, size FROM registry_manifests WHERE repository_id = ? AND digest = ?',
        )
        .get(repositoryId, digest),
    );
  }

  content(repositoryId: number, digest: Digest): Uint8Array | undefined {
    const row = this.#state
      .prepare('SELECT content FROM registry_manifests WHERE repository_id = ? AND digest = ?')
      .get(repositoryId, digest);
    const content = row?.['content'];
    return content instanceof Uint8Array ? content : undefined;
  }

  put(repositoryId: number, manifest: NewManifest, tags: readonly string[], rules: WriteRules): void {
    const blobIds = this.#requireBlobs(repositoryId, manifest);
    const id = this.#insert(repositoryId, manifest, blobIds);
    const tagged = this.#state.prepare(
      `INSERT INTO registry_tags (repository_id, name, manifest_id, updated_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (repository_id, name) DO UPDATE
       SET manifest_id = excluded.manifest_id, updated_at = excluded.updated_at`,
    );
    for (const tag of tags) {
      if (rules.immutable?.(tag)) this.#requireUnmoved(repositoryId, tag, manifest.digest);
      tagged.run(repositoryId, tag, id, Date.now());
    }
  }

  #requireUnmoved(repositoryId: number, tag: string, digest: Digest): void {
    const current = this.byTag(repositoryId, tag);
    if (current && current.digest !== digest) throw tagIsImmutable(tag, current.digest);
  }

  remove(repositoryId: number, digest: Digest, rules: WriteRules): Deletion {
    const { immutable } = rules;
    if (immutable && this.#tagsOf(repositoryId, digest).some(immutable)) return 'immutable';
    const { changes } = this.#state
      .prepare('DELETE FROM registry_manifests WHERE repository_id = ? AND digest = ?')
      .run(repositoryId, digest);
    return Number(changes) > 0 ? 'deleted' : 'unknown';
  }

  #tagsOf(repositoryId: number, digest: Digest): string[] {
    return this.#state
      .prepare(
        `SELECT t.name FROM registry_tags t JOIN registry_manifests m ON m.id = t.manifest_id
         WHERE m.repository_id = ? AND m.digest = ?`,
      )
      .all(repositoryId, digest)
      .map((row) => String(row['name']));
  }

  removeTag(repositoryId: number, tag: string, unchangedSince = Number.MAX_SAFE_INTEGER): Deletion {
    const { changes } = this.#state
      .prepare('DELETE FROM registry_tags WHERE repository_id = ? AND name = ? AND updated_at <= ?')
      .run(repositoryId, tag, unchangedSince);
    return Number(changes) > 0 ? 'deleted' : 'unknown';
  }

  tags(repositoryId: number, page: Page): string[] {
    return this.#state
      .prepare('SELECT name FROM registry_tags WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?')
      .all(repositoryId, page.after ?? '', page.limit)
      .map((row) => String(row['name']));
  }

  subjectOf(repositoryId: number, digest: Digest): Digest | undefined {
    const row = this.#state
      .prepare(
        `SELECT subject AS digest FROM registry_manifests
         WHERE repository_id = ? AND digest = ? AND subject IS NOT NULL`,
      )
      .get(repositoryId, digest);
    return row && digestOfRow(row);
  }

  indexesOf(repositoryId: number, digest: Digest, limit: number): Digest[] {
    return this.#state
      .prepare(
        `SELECT m.digest FROM registry_manifest_children c JOIN registry_manifests m ON m.id = c.manifest_id
         WHERE c.repository_id = ? AND c.child = ? LIMIT ?`,
      )
      .all(repositoryId, digest, limit)
      .map(digestOfRow);
  }

  tagRecords(repositoryId: number, page: Page): TagRecord[] {
    return this.#state
      .prepare(
        `SELECT t.name, t.updated_at, t.pulled_at, m.digest
         FROM registry_tags t JOIN registry_manifests m ON m.id = t.manifest_id
         WHERE t.repository_id = ? AND t.name > ? ORDER BY t.name LIMIT ?`,
      )
      .all(repositoryId, page.after ?? '', page.limit)
      .map((row) => ({
        name: String(row['name']),
        digest: digestOfRow(row),
        updatedAt: Number(row['updated_at']),
        pulledAt: row['pulled_at'] === null ? undefined : Number(row['pulled_at']),
      }));
  }

  /** Remembers a pull of a tag, or of every tag that points at a manifest. */
  pulled(
    repositoryId: number,
    reference: { readonly tag: string } | { readonly digest: Digest },
    at: number,
  ): void {
    if ('tag' in reference) {
      this.#state
        .prepare(
          `UPDATE registry_tags SET pulled_at = max(coalesce(pulled_at, 0), ?) WHERE repository_id = ? AND name = ?`,
        )
        .run(at, repositoryId, reference.tag);
      return;
    }
    this.#state
      .prepare(
        `UPDATE registry_tags SET pulled_at = max(coalesce(pulled_at, 0), ?)
         WHERE manifest_id = (SELECT id FROM registry_manifests WHERE repository_id = ? AND digest = ?)`,
      )
      .run(at, repositoryId, reference.digest);
  }

  referrers(
    repositoryId: number,
    subject: Digest,
    page: Page & { readonly artifactType?: string | undefined },
  ): Descriptor[] {
    const rows = this.#state
      .prepare(
        `SELECT digest, media_type, size, artifact_type, annotations FROM registry_manifests
         WHERE repository_id = ?1 AND subject = ?2 AND digest > ?3 AND (?4 IS NULL OR artifact_type = ?4)
         ORDER BY digest LIMIT ?5`,
      )
      .all(repositoryId, subject, page.after ?? '', page.artifactType ?? null, page.limit);
    return rows.map(referrerOfRow);
  }

  #requireBlobs(repositoryId: number, manifest: NewManifest): number[] {
    const missing: Digest[] = [];
    const ids: number[] = [];
    for (const { digest, size } of manifest.blobs) {
      const blob = this.#blobs.find(repositoryId, digest);
      if (!blob) missing.push(digest);
      else if (size !== undefined && size !== blob.size) {
        throw wrongSize(digest, size, blob.size);
      } else ids.push(blob.id);
    }
    if (missing.length > 0) throw missingBlobs(missing);
    for (const digest of manifest.optionalBlobs) ids.push(this.#blobs.idOrCreate(digest));
    return ids;
  }

  #insert(repositoryId: number, manifest: NewManifest, blobIds: readonly number[]): number {
    const existing = this.#state
      .prepare('SELECT id FROM registry_manifests WHERE repository_id = ? AND digest = ?')
      .get(repositoryId, manifest.digest);
    // The same bytes name the same things, so a second push changes the media type and the time only.
    if (existing) {
      const id = Number(existing['id']);
      this.#state
        .prepare('UPDATE registry_manifests SET media_type = ?, pushed_at = ? WHERE id = ?')
        .run(manifest.mediaType, Date.now(), id);
      return id;
    }
    const { lastInsertRowid } = this.#state
      .prepare(
        `INSERT INTO registry_manifests
         (repository_id, digest, media_type, size, pushed_at, subject, artifact_type, annotations, content)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        repositoryId,
        manifest.digest,
        manifest.mediaType,
        manifest.size,
        Date.now(),
        manifest.subject ?? null,
        manifest.artifactType ?? null,
        manifest.subject && manifest.annotations ? JSON.stringify(manifest.annotations) : null,
        manifest.bytes,
      );
    const id = Number(lastInsertRowid);
    const names = this.#state.prepare(
      'INSERT INTO registry_manifest_blobs (manifest_id, blob_id, repository_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    );
    for (const blobId of blobIds) names.run(id, blobId, repositoryId);
    const parent = this.#state.prepare(
      'INSERT INTO registry_manifest_children (manifest_id, child, repository_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    );
    for (const child of manifest.children) parent.run(id, child, repositoryId);
    return id;
  }
}

/** The refusal of a push or a delete that would move a tag that stays. */
export function tagIsImmutable(tag: string, digest?: Digest): RegistryError {
  const where = digest === undefined ? '' : ` and stays at ${digest}`;
  return new RegistryError('DENIED', {
    status: 409,
    message: `tag ${tag} is immutable${where}: push another tag`,
    detail: { tag, ...(digest === undefined ? {} : { digest }) },
  });
}

/** The refusal of a manifest whose blobs the repository lacks. */
export function missingBlobs(digests: readonly Digest[]): RegistryError {
  return new RegistryError('MANIFEST_BLOB_UNKNOWN', {
    details: digests.slice(0, maxReportedBlobs).map((digest) => ({ digest })),
  });
}

/** The refusal of a manifest that is wrong about a blob's size. */
export function wrongSize(digest: Digest, size: number, stored: number): RegistryError {
  return new RegistryError('SIZE_INVALID', {
    message: `the manifest says ${size} bytes of a blob of ${stored}`,
    detail: { digest, size, stored },
  });
}

function record(row: Row | undefined): ManifestRecord | undefined {
  return (
    row && {
      digest: digestOfRow(row),
      mediaType: String(row['media_type']),
      size: Number(row['size']),
    }
  );
}
