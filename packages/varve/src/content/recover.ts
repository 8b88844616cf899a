import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, isDigest } from '../oci/index.ts';
import { chunkSize } from './files.ts';
import type { BlobRecords } from './records.ts';
import { algorithms, type StoreLayout, temporaryPrefix } from './store-layout.ts';
import { type BlobInfo, onceOnly } from './types.ts';

function hashFileSync(path: string, algorithm: string): BlobInfo {
  const hash = createHash(algorithm);
  const buffer = Buffer.allocUnsafe(chunkSize);
  const file = openSync(path, 'r');
  try {
    let size = 0;
    for (;;) {
      const count = readSync(file, buffer, 0, buffer.length, size);
      if (count === 0) return { digest: `${algorithm}:${hash.digest('hex')}` as Digest, size };
      hash.update(buffer.subarray(0, count));
      size += count;
    }
  } finally {
    closeSync(file);
  }
}

/** The digests that have a file. */
export function listFiles(layout: StoreLayout): Set<Digest> {
  const found = new Set<Digest>();
  for (const algorithm of algorithms) {
    for (const name of readdirSync(join(layout.root, algorithm))) {
      const digest = `${algorithm}:${name}`;
      if (isDigest(digest)) found.add(digest);
    }
  }
  return found;
}

/**
 * Makes records and files agree after a crash. A file without a record (killed between rename and record,
 * or the database lost) is hashed and recorded, or removed when it is not what its name says; a record without a
 * file is dropped. Damage inside recorded files is `check`'s.
 */
export function recover(layout: StoreLayout, records: BlobRecords): void {
  const files = listFiles(layout);
  const lost: Digest[] = [];
  for (const { digest } of records.all()) if (!files.delete(digest)) lost.push(digest);
  records.remove(lost);
  for (const digest of files) {
    const path = layout.blob(digest);
    const found = hashFileSync(path, digest.slice(0, digest.indexOf(':')));
    if (found.digest === digest) records.put(found);
    else rmSync(path);
  }
}

/** Removes the temporary files of an earlier process, and writes of it that nobody can take up again, at open. */
export function removeTemporaries(layout: StoreLayout): void {
  for (const name of readdirSync(layout.ingests)) {
    const path = join(layout.ingests, name);
    if (name.startsWith(temporaryPrefix) || !isResumable(path))
      rmSync(path, { recursive: true, force: true });
  }
}

function isResumable(ingest: string): boolean {
  try {
    const { key } = JSON.parse(readFileSync(join(ingest, 'meta.json'), 'utf8')) as { key?: unknown };
    return typeof key === 'string' && !key.startsWith(onceOnly);
  } catch {
    // Killed before it was written, or not one of ours.
    return false;
  }
}
