import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestAlgorithm, digestHex } from '../oci/index.ts';

export const algorithms = ['sha256', 'sha512'] as const;

/** Start of the names of files given out by `temporaryPath`. */
export const temporaryPrefix = 'tmp-';

/**
 * Where things lie:
 * ```
 * content/sha256/<hex>, content/sha512/<hex>   blobs
 * content/ingest/<id>/{data,meta.json}         resumable writes; the id is a hash of the key
 * content/ingest/tmp-<hex>                     files on their way in
 * content/damaged/<algorithm>-<hex>            blobs found damaged, kept until the next collection
 * ```
 * Every name is made here from a checked digest or a hash, never from outside text.
 */
export class StoreLayout {
  readonly root: string;
  readonly ingests: string;
  readonly damaged: string;

  /** Creates the folders that are missing. @param dataRoot the folder that holds `content`. */
  constructor(dataRoot: string) {
    this.root = join(dataRoot, 'content');
    this.ingests = join(this.root, 'ingest');
    this.damaged = join(this.root, 'damaged');
    const folders = [
      ...algorithms.map((algorithm) => join(this.root, algorithm)),
      this.ingests,
      this.damaged,
    ];
    for (const folder of folders) mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  folder(digest: Digest): string {
    return join(this.root, digestAlgorithm(digest));
  }

  blob(digest: Digest): string {
    return join(this.folder(digest), digestHex(digest));
  }

  ingest(key: string): string {
    return join(this.ingests, createHash('sha256').update(key).digest('hex').slice(0, 40));
  }

  damagedBlob(digest: Digest): string {
    return join(this.damaged, digest.replace(':', '-'));
  }
}
