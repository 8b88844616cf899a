import type { Digest } from '../../oci/index.ts';
import { digestOfRow } from './rows.ts';
import { change, type Records, rows, type Steps } from './steps.ts';
import type { Awaitable, BlobRecord, Page, ScrubRecords } from './types.ts';

const maxConcerned = 100;

type ScrubbedBlob = BlobRecord & { readonly damaged: boolean };
interface Concerned {
  readonly repository: string;
  readonly manifest: Digest;
}

/** {@link ScrubRecords} in SQL. */
export class Scrubbing implements ScrubRecords {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  blobs(page: Page): Awaitable<ScrubbedBlob[]> {
    return this.#records.read(storedBlobs(page));
  }

  async setDamaged(digest: Digest, damaged: boolean): Promise<void> {
    const at = damaged ? Date.now() : null;
    await this.#records.write(() =>
      change('UPDATE registry_blobs SET damaged_at = ?1 WHERE digest = ?2', at, digest),
    );
  }

  concerned(digest: Digest): Awaitable<Concerned[]> {
    return this.#records.read(concerned(digest));
  }
}

function* storedBlobs(page: Page): Steps<ScrubbedBlob[]> {
  const found = yield* rows(
    `SELECT digest, size, damaged_at FROM registry_blobs
     WHERE digest > ?1 AND size IS NOT NULL ORDER BY digest LIMIT ?2`,
    page.after ?? '',
    page.limit,
  );
  return found.map((one) => ({
    digest: digestOfRow(one),
    size: Number(one['size']),
    damaged: one['damaged_at'] !== null,
  }));
}

function* concerned(digest: Digest): Steps<Concerned[]> {
  const found = yield* rows(
    `SELECT r.name, m.digest FROM registry_blobs b
     JOIN registry_manifest_blobs n ON n.blob_id = b.id
     JOIN registry_manifests m ON m.id = n.manifest_id
     JOIN registry_repositories r ON r.id = m.repository_id
     WHERE b.digest = ?1 LIMIT ?2`,
    digest,
    maxConcerned,
  );
  return found.map((one) => ({ repository: String(one['name']), manifest: digestOfRow(one) }));
}
