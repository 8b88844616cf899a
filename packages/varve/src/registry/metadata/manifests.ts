import type { Descriptor, Digest } from '../../oci/index.ts';
import { digestOfRow, referrerOfRow, type Row } from './rows.ts';
import { change, names, row, rows, type Steps } from './steps.ts';
import type { Deletion, ManifestRecord, Page, Pull, TagRecord, WriteRules } from './types.ts';

export function* manifestByTag(repositoryId: number, tag: string): Steps<ManifestRecord | undefined> {
  const found = yield* row(
    `SELECT m.digest, m.media_type, m.size FROM registry_tags t
     JOIN registry_manifests m ON m.id = t.manifest_id
     WHERE t.repository_id = ?1 AND t.name = ?2`,
    repositoryId,
    tag,
  );
  return found && manifestOfRow(found);
}

export function* manifestByDigest(repositoryId: number, digest: Digest): Steps<ManifestRecord | undefined> {
  const found = yield* row(
    'SELECT digest, media_type, size FROM registry_manifests WHERE repository_id = ?1 AND digest = ?2',
    repositoryId,
    digest,
  );
  return found && manifestOfRow(found);
}

export function* manifestContent(repositoryId: number, digest: Digest): Steps<Uint8Array | undefined> {
  const found = yield* row(
    'SELECT content FROM registry_manifests WHERE repository_id = ?1 AND digest = ?2',
    repositoryId,
    digest,
  );
  const content = found?.['content'];
  return content instanceof Uint8Array ? content : undefined;
}

export function* removeManifest(
  repositoryId: number,
  digest: Digest,
  { immutable }: WriteRules,
): Steps<Deletion> {
  if (immutable && (yield* tagsOf(repositoryId, digest)).some(immutable)) return 'immutable';
  const removed = yield* change(
    'DELETE FROM registry_manifests WHERE repository_id = ?1 AND digest = ?2',
    repositoryId,
    digest,
  );
  return removed > 0 ? 'deleted' : 'unknown';
}

function* tagsOf(repositoryId: number, digest: Digest): Steps<string[]> {
  const found = yield* rows(
    `SELECT t.name FROM registry_tags t JOIN registry_manifests m ON m.id = t.manifest_id
     WHERE m.repository_id = ?1 AND m.digest = ?2`,
    repositoryId,
    digest,
  );
  return found.map((one) => String(one['name']));
}

export function* removeTag(
  repositoryId: number,
  tag: string,
  unchangedSince = Number.MAX_SAFE_INTEGER,
): Steps<Deletion> {
  const removed = yield* change(
    'DELETE FROM registry_tags WHERE repository_id = ?1 AND name = ?2 AND updated_at <= ?3',
    repositoryId,
    tag,
    unchangedSince,
  );
  return removed > 0 ? 'deleted' : 'unknown';
}

export function* listTags(repositoryId: number, page: Page): Steps<string[]> {
  return yield* names(
    'SELECT name FROM registry_tags WHERE repository_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3',
    repositoryId,
    page.after ?? '',
    page.limit,
  );
}

export function* listTagRecords(repositoryId: number, page: Page): Steps<TagRecord[]> {
  const found = yield* rows(
    `SELECT t.name, t.updated_at, t.pulled_at, m.digest
     FROM registry_tags t JOIN registry_manifests m ON m.id = t.manifest_id
     WHERE t.repository_id = ?1 AND t.name > ?2 ORDER BY t.name LIMIT ?3`,
    repositoryId,
    page.after ?? '',
    page.limit,
  );
  return found.map((one) => ({
    name: String(one['name']),
    digest: digestOfRow(one),
    updatedAt: Number(one['updated_at']),
    pulledAt: one['pulled_at'] === null ? undefined : Number(one['pulled_at']),
  }));
}

export function* subjectOf(repositoryId: number, digest: Digest): Steps<Digest | undefined> {
  const found = yield* row(
    `SELECT subject AS digest FROM registry_manifests
     WHERE repository_id = ?1 AND digest = ?2 AND subject IS NOT NULL`,
    repositoryId,
    digest,
  );
  return found && digestOfRow(found);
}

export function* indexesOf(repositoryId: number, digest: Digest, limit: number): Steps<Digest[]> {
  const found = yield* rows(
    `SELECT m.digest FROM registry_manifest_children c JOIN registry_manifests m ON m.id = c.manifest_id
     WHERE c.repository_id = ?1 AND c.child = ?2 LIMIT ?3`,
    repositoryId,
    digest,
    limit,
  );
  return found.map(digestOfRow);
}

export function* listReferrers(
  repositoryId: number,
  subject: Digest,
  page: Page & { readonly artifactType?: string | undefined },
): Steps<Descriptor[]> {
  const found = yield* rows(
    `SELECT digest, media_type, size, artifact_type, annotations FROM registry_manifests
     WHERE repository_id = ?1 AND subject = ?2 AND digest > ?3
     AND (CAST(?4 AS TEXT) IS NULL OR artifact_type = ?4)
     ORDER BY digest LIMIT ?5`,
    repositoryId,
    subject,
    page.after ?? '',
    page.artifactType ?? null,
    page.limit,
  );
  return found.map(referrerOfRow);
}

/** Remembers a pull of a tag, or of every tag that points at a manifest. */
export function* recordPull(repositoryId: number, { reference, at }: Pull): Steps<void> {
  if ('tag' in reference) {
    yield* change(
      `UPDATE registry_tags SET pulled_at = ?1
       WHERE repository_id = ?2 AND name = ?3 AND coalesce(pulled_at, 0) < ?1`,
      at,
      repositoryId,
      reference.tag,
    );
    return;
  }
  yield* change(
    `UPDATE registry_tags SET pulled_at = ?1
     WHERE manifest_id = (SELECT id FROM registry_manifests WHERE repository_id = ?2 AND digest = ?3)
     AND coalesce(pulled_at, 0) < ?1`,
    at,
    repositoryId,
    reference.digest,
  );
}

function manifestOfRow(found: Row): ManifestRecord {
  return {
    digest: digestOfRow(found),
    mediaType: String(found['media_type']),
    size: Number(found['size']),
  };
}
