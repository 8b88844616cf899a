import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import { type ContentStore, type Lease, onceOnly } from '../content/index.ts';
import { plainStream, readTar } from '../layer/index.ts';
import { type Digest, isDigest } from '../oci/index.ts';

/** A document of an image archive (manifest.json, index.json, configs) is JSON of at most this size. */
const documentLimit = 8 << 20;
/** More files than any real archive holds; stops archives made of names. */
const entryLimit = 100_000;

/** What an image archive holds: every regular file as a verified blob, found by its path in the archive. */
export class ImageArchive {
  readonly #content: ContentStore;
  readonly #files = new Map<string, { readonly digest: Digest; readonly size: number }>();
  readonly #links = new Map<string, string>();

  constructor(content: ContentStore) {
    this.#content = content;
  }

  /**
   * Takes the archive's files into the content store, by digest; nothing is unpacked to a path the archive names.
   * A file under `blobs/<algorithm>/<hex>` must hash to its name.
   */
  async read(archive: Readable, lease: Lease, signal?: AbortSignal): Promise<void> {
    let count = 0;
    for await (const entry of readTar(plainStream(archive), signal === undefined ? {} : { signal })) {
      if (++count > entryLimit) throw invalid(`more than ${entryLimit} entries`);
      const name = entryName(entry.name);
      if (entry.type === 'symlink' || entry.type === 'hardlink') {
        const target = entry.linkName.toString();
        this.#links.set(
          name,
          entry.type === 'symlink' ? posix.join(posix.dirname(name), target) : entryName(entry.linkName),
        );
        continue;
      }
      if (entry.type !== 'file') continue;
      const named = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(name);
      const digest = named ? `${named[1]}:${named[2]}` : undefined;
      const expected = { size: entry.size, ...(digest !== undefined && isDigest(digest) ? { digest } : {}) };
      const ingest = await this.#content.ingest(`${onceOnly}load:${crypto.randomUUID()}`, expected);
      try {
        for await (const chunk of entry.body) await ingest.write(chunk);
        const blob = await ingest.commit(expected);
        lease.add(blob.digest);
        this.#files.set(name, blob);
      } catch (error) {
        await ingest.abort();
        throw error;
      }
    }
  }

  has(path: string): boolean {
    return this.#resolve(path) !== undefined;
  }

  /** Blob of the file at a path; links inside the archive are followed, within it. @throws `invalid` when it is not there. */
  blob(path: string): { readonly digest: Digest; readonly size: number } {
    const blob = this.#resolve(path);
    if (!blob) throw invalid(`${JSON.stringify(path.slice(0, 200))} is not in it`);
    return blob;
  }

  async document(path: string): Promise<Buffer> {
    const { digest, size } = this.blob(path);
    if (size > documentLimit) throw invalid(`${path} is larger than ${documentLimit} bytes`);
    return this.#content.read(digest, documentLimit);
  }

  #resolve(path: string): { readonly digest: Digest; readonly size: number } | undefined {
    let name = posix.normalize(path).replace(/^(\.?\/)+/, '');
    for (let hops = 0; hops < 8; hops++) {
      const file = this.#files.get(name);
      if (file) return file;
      const link = this.#links.get(name);
      if (link === undefined) return undefined;
      name = posix.normalize(link);
    }
    return undefined;
  }
}

function entryName(name: Buffer): string {
  return posix
    .normalize(name.toString())
    .replace(/^(\.?\/)+/, '')
    .replace(/\/$/, '');
}

/** The error of an archive that is no image archive. */
export function invalid(why: string, cause?: unknown): VarveError {
  return new VarveError('invalid', 'ARCHIVE_INVALID', `invalid image archive: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'an image archive is made by `docker save`, `podman save` or `skopeo copy … oci-archive:`',
  });
}
