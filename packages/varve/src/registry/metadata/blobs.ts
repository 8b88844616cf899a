import type { Digest } from '../../oci/index.ts';
import type { State } from '../../state/index.ts';
import { digestOfRow } from './rows.ts';
import type { BlobRecord, Deletion } from './types.ts';

/** Rows of blobs and of the links between them and repositories. The writing ones run inside a transaction. */
export class Blobs {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  /** The id of a digest's row, made without a size when new. */
  idOrCreate(digest: Digest): number {
    const row = this.#state.prepare('SELECT id FROM registry_blobs WHERE digest = ?').get(digest);
    if (row) return Number(row['id']);
    return Number(
      this.#state.prepare('INSERT INTO registry_blobs (digest) VALUES (?)').run(digest).lastInsertRowid,
    );
  }

  find(repositoryId: number, digest: Digest): (BlobRecord & { readonly id: number }) | undefined {
    const row = this.#state
      .prepare(
        `SELECT b.id, b.size FROM registry_blobs b
         JOIN registry_blob_links l ON l.blob_id = b.id AND l.repository_id = ?
         WHERE b.digest = ? AND b.damaged_at IS NULL`,
      )
      .get(repositoryId, digest);
    return row && { id: Number(row['id']), digest, size: Number(row['size']) };
  }

  add(repositoryId: number, blob: BlobRecord): void {
    const now = Date.now();
    this.#state
      .prepare(
        `INSERT INTO registry_blobs (digest, size, stored_at) VALUES (?, ?, ?)
         ON CONFLICT (digest) DO UPDATE
         SET size = excluded.size, stored_at = excluded.stored_at, damaged_at = NULL`,
      )
      .run(blob.digest, blob.size, now);
    this.link(repositoryId, blob.digest, now);
  }

  isStored(digest: Digest): boolean {
    const row = this.#state
      .prepare('SELECT 1 FROM registry_blobs WHERE digest = ? AND size IS NOT NULL AND damaged_at IS NULL')
      .get(digest);
    return row !== undefined;
  }

  link(repositoryId: number, digest: Digest, now = Date.now()): void {
    this.#state
      .prepare(
        `INSERT INTO registry_blob_links (repository_id, blob_id, linked_at)
         SELECT ?, id, ? FROM registry_blobs WHERE digest = ?
         ON CONFLICT (repository_id, blob_id) DO UPDATE SET linked_at = excluded.linked_at`,
      )
      .run(repositoryId, now, digest);
  }

  repositoriesOf(digest: Digest, limit: number): string[] {
    return this.#state
      .prepare(
        `SELECT r.name FROM registry_blobs b
         JOIN registry_blob_links l ON l.blob_id = b.id
         JOIN registry_repositories r ON r.id = l.repository_id
         WHERE b.digest = ? AND b.size IS NOT NULL AND b.damaged_at IS NULL LIMIT ?`,
      )
      .all(digest, limit)
      .map((row) => String(row['name']));
  }

  manifestsOf(repositoryId: number, digest: Digest): Digest[] {
    return this.#state
      .prepare(
        `SELECT m.digest FROM registry_blobs b
         JOIN registry_manifest_blobs n ON n.blob_id = b.id AND n.repository_id = ?
         JOIN registry_manifests m ON m.id = n.manifest_id
         WHERE b.digest = ? LIMIT 100`,
      )
      .all(repositoryId, digest)
      .map(digestOfRow);
  }

  unlink(repositoryId: number, digest: Digest): Deletion {
    const blob = this.find(repositoryId, digest);
    if (!blob) return 'unknown';
    const needed = this.#state
      .prepare('SELECT 1 FROM registry_manifest_blobs WHERE blob_id = ? AND repository_id = ? LIMIT 1')
      .get(blob.id, repositoryId);
    if (needed) return 'referenced';
    this.#state
      .prepare('DELETE FROM registry_blob_links WHERE repository_id = ? AND blob_id = ?')
      .run(repositoryId, blob.id);
    return 'deleted';
  }
}
