import type { Digest } from '../../oci/index.ts';
import { digestOfRow } from './rows.ts';
import { change, row, rows, type Steps } from './steps.ts';
import type { BlobRecord, Deletion } from './types.ts';

/** The id of a digest's row, made without a size when new. */
export function* blobIdOrCreate(digest: Digest): Steps<number> {
  const known = yield* row('SELECT id FROM registry_blobs WHERE digest = ?1', digest);
  const found = known ?? (yield* row('INSERT INTO registry_blobs (digest) VALUES (?1) RETURNING id', digest));
  return Number(found?.['id']);
}

/** A repository's blob, unless it is damaged. */
export function* findBlob(
  repositoryId: number,
  digest: Digest,
): Steps<(BlobRecord & { readonly id: number }) | undefined> {
  const found = yield* row(
    `SELECT b.id, b.size FROM registry_blobs b
     JOIN registry_blob_links l ON l.blob_id = b.id AND l.repository_id = ?1
     WHERE b.digest = ?2 AND b.damaged_at IS NULL`,
    repositoryId,
    digest,
  );
  return found && { id: Number(found['id']), digest, size: Number(found['size']) };
}

export function* addBlob(repositoryId: number, blob: BlobRecord): Steps<void> {
  yield* change(
    `INSERT INTO registry_blobs (digest, size, stored_at) VALUES (?1, ?2, ?3)
     ON CONFLICT (digest) DO UPDATE
     SET size = excluded.size, stored_at = excluded.stored_at, damaged_at = NULL`,
    blob.digest,
    blob.size,
    Date.now(),
  );
  yield* linkBlob(repositoryId, blob.digest);
}

/** Whether any repository could be given a blob. */
export function* isBlobWhole(digest: Digest): Steps<boolean> {
  const found = yield* row(
    'SELECT 1 FROM registry_blobs WHERE digest = ?1 AND size IS NOT NULL AND damaged_at IS NULL',
    digest,
  );
  return found !== undefined;
}

export function* linkBlob(repositoryId: number, digest: Digest): Steps<void> {
  yield* change(
    `INSERT INTO registry_blob_links (repository_id, blob_id, linked_at)
     SELECT ?1, id, ?2 FROM registry_blobs WHERE digest = ?3
     ON CONFLICT (repository_id, blob_id) DO UPDATE SET linked_at = excluded.linked_at`,
    repositoryId,
    Date.now(),
    digest,
  );
}

export function* repositoriesOfBlob(digest: Digest, limit: number): Steps<string[]> {
  const found = yield* rows(
    `SELECT r.name FROM registry_blobs b
     JOIN registry_blob_links l ON l.blob_id = b.id
     JOIN registry_repositories r ON r.id = l.repository_id
     WHERE b.digest = ?1 AND b.size IS NOT NULL AND b.damaged_at IS NULL LIMIT ?2`,
    digest,
    limit,
  );
  return found.map((one) => String(one['name']));
}

export function* manifestsOfBlob(repositoryId: number, digest: Digest): Steps<Digest[]> {
  const found = yield* rows(
    `SELECT m.digest FROM registry_blobs b
     JOIN registry_manifest_blobs n ON n.blob_id = b.id AND n.repository_id = ?1
     JOIN registry_manifests m ON m.id = n.manifest_id
     WHERE b.digest = ?2 LIMIT 100`,
    repositoryId,
    digest,
  );
  return found.map(digestOfRow);
}

export function* unlinkBlob(repositoryId: number, digest: Digest): Steps<Deletion> {
  const blob = yield* findBlob(repositoryId, digest);
  if (!blob) return 'unknown';
  const needed = yield* row(
    'SELECT 1 FROM registry_manifest_blobs WHERE blob_id = ?1 AND repository_id = ?2 LIMIT 1',
    blob.id,
    repositoryId,
  );
  if (needed) return 'referenced';
  yield* change(
    'DELETE FROM registry_blob_links WHERE repository_id = ?1 AND blob_id = ?2',
    repositoryId,
    blob.id,
  );
  return 'deleted';
}
