import type { Digest } from '../../../oci/index.ts';
import { missingBlobs, tagIsImmutable, wrongSize } from '../manifests.ts';
import { digestOfRow } from '../rows.ts';
import type { NewManifest, WriteRules } from '../types.ts';
import type { Transaction } from './database.ts';

/** Stores a manifest of a repository, and points the tags at it. @throws RegistryError as the interface says. */
export async function putManifest(
  transaction: Transaction,
  repository: number,
  manifest: NewManifest,
  tags: readonly string[],
  rules: WriteRules,
): Promise<void> {
  const blobs = await requireBlobs(transaction, repository, manifest);
  const id = await insert(transaction, repository, manifest, blobs);
  for (const tag of tags) {
    if (rules.immutable?.(tag)) {
      const [current] = await transaction.rows(
        `SELECT m.digest FROM registry_tags t JOIN registry_manifests m ON m.id = t.manifest_id
         WHERE t.repository_id = $1 AND t.name = $2`,
        [repository, tag],
      );
      const digest = current && digestOfRow(current);
      if (digest && digest !== manifest.digest) throw tagIsImmutable(tag, digest);
    }
    await transaction.run(
      `INSERT INTO registry_tags (repository_id, name, manifest_id, updated_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (repository_id, name) DO UPDATE
       SET manifest_id = excluded.manifest_id, updated_at = excluded.updated_at`,
      [repository, tag, id, Date.now()],
    );
  }
}

async function requireBlobs(
  transaction: Transaction,
  repository: number,
  manifest: NewManifest,
): Promise<number[]> {
  const ids: number[] = [];
  const missing: Digest[] = [];
  for (const { digest, size } of manifest.blobs) {
    const [row] = await transaction.rows(
      `SELECT b.id, b.size FROM registry_blobs b
       JOIN registry_blob_links l ON l.blob_id = b.id AND l.repository_id = $1
       WHERE b.digest = $2 AND b.damaged_at IS NULL`,
      [repository, digest],
    );
    if (!row) missing.push(digest);
    else if (size !== undefined && size !== Number(row['size'])) {
      throw wrongSize(digest, size, Number(row['size']));
    } else ids.push(Number(row['id']));
  }
  if (missing.length > 0) throw missingBlobs(missing);
  for (const digest of manifest.optionalBlobs) {
    await transaction.run('INSERT INTO registry_blobs (digest) VALUES ($1) ON CONFLICT DO NOTHING', [digest]);
    const [row] = await transaction.rows('SELECT id FROM registry_blobs WHERE digest = $1', [digest]);
    ids.push(Number(row?.['id']));
  }
  return ids;
}

async function insert(
  transaction: Transaction,
  repository: number,
  manifest: NewManifest,
  blobs: readonly number[],
): Promise<number> {
  const [existing] = await transaction.rows(
    'UPDATE registry_manifests SET media_type = $3, pushed_at = $4 WHERE repository_id = $1 AND digest = $2 RETURNING id',
    [repository, manifest.digest, manifest.mediaType, Date.now()],
  );
  // The same bytes name the same things, so a second push changes the media type and the time only.
  if (existing) return Number(existing['id']);
  const [row] = await transaction.rows(
    `INSERT INTO registry_manifests
     (repository_id, digest, media_type, size, pushed_at, subject, artifact_type, annotations, content)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
    [
      repository,
      manifest.digest,
      manifest.mediaType,
      manifest.size,
      Date.now(),
      manifest.subject ?? null,
      manifest.artifactType ?? null,
      manifest.subject && manifest.annotations ? JSON.stringify(manifest.annotations) : null,
      manifest.bytes,
    ],
  );
  const id = Number(row?.['id']);
  for (const blob of blobs) {
    await transaction.run(
      'INSERT INTO registry_manifest_blobs (manifest_id, blob_id, repository_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
      [id, blob, repository],
    );
  }
  for (const child of manifest.children) {
    await transaction.run(
      'INSERT INTO registry_manifest_children (manifest_id, child, repository_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
      [id, child, repository],
    );
  }
  return id;
}
