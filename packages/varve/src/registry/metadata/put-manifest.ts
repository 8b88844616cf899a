import type { Digest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import { blobIdOrCreate, findBlob } from './blobs.ts';
import { manifestByTag } from './manifests.ts';
import { change, row, type Steps } from './steps.ts';
import type { NewManifest, WriteRules } from './types.ts';

const maxReportedBlobs = 100;

/** Stores a manifest of a repository, and points the tags at it. @throws RegistryError as the interface says. */
export function* putManifest(
  repositoryId: number,
  manifest: NewManifest,
  tags: readonly string[],
  rules: WriteRules,
): Steps<void> {
  const blobIds = yield* requireBlobs(repositoryId, manifest);
  const id = yield* insert(repositoryId, manifest, blobIds);
  for (const tag of tags) {
    if (rules.immutable?.(tag)) {
      const current = yield* manifestByTag(repositoryId, tag);
      if (current && current.digest !== manifest.digest) throw tagIsImmutable(tag, current.digest);
    }
    yield* change(
      `INSERT INTO registry_tags (repository_id, name, manifest_id, updated_at) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (repository_id, name) DO UPDATE
       SET manifest_id = excluded.manifest_id, updated_at = excluded.updated_at`,
      repositoryId,
      tag,
      id,
      Date.now(),
    );
  }
}

function* requireBlobs(repositoryId: number, manifest: NewManifest): Steps<number[]> {
  const missing: Digest[] = [];
  const ids: number[] = [];
  for (const { digest, size } of manifest.blobs) {
    const blob = yield* findBlob(repositoryId, digest);
    if (!blob) missing.push(digest);
    else if (size !== undefined && size !== blob.size) throw wrongSize(digest, size, blob.size);
    else ids.push(blob.id);
  }
  if (missing.length > 0) throw missingBlobs(missing);
  for (const digest of manifest.optionalBlobs) ids.push(yield* blobIdOrCreate(digest));
  return ids;
}

function* insert(repositoryId: number, manifest: NewManifest, blobIds: readonly number[]): Steps<number> {
  // The same bytes name the same things, so a second push changes the media type and the time only.
  const existing = yield* row(
    `UPDATE registry_manifests SET media_type = ?3, pushed_at = ?4
     WHERE repository_id = ?1 AND digest = ?2 RETURNING id`,
    repositoryId,
    manifest.digest,
    manifest.mediaType,
    Date.now(),
  );
  if (existing) return Number(existing['id']);
  const made = yield* row(
    `INSERT INTO registry_manifests
     (repository_id, digest, media_type, size, pushed_at, subject, artifact_type, annotations, content)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id`,
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
  const id = Number(made?.['id']);
  for (const blobId of blobIds) {
    yield* change(
      'INSERT INTO registry_manifest_blobs (manifest_id, blob_id, repository_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING',
      id,
      blobId,
      repositoryId,
    );
  }
  for (const child of manifest.children) {
    yield* change(
      'INSERT INTO registry_manifest_children (manifest_id, child, repository_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING',
      id,
      child,
      repositoryId,
    );
  }
  return id;
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

function missingBlobs(digests: readonly Digest[]): RegistryError {
  return new RegistryError('MANIFEST_BLOB_UNKNOWN', {
    details: digests.slice(0, maxReportedBlobs).map((digest) => ({ digest })),
  });
}

function wrongSize(digest: Digest, size: number, stored: number): RegistryError {
  return new RegistryError('SIZE_INVALID', {
    message: `the manifest says ${size} bytes of a blob of ${stored}`,
    detail: { digest, size, stored },
  });
}
