import { randomBytes } from 'node:crypto';
import { closeSync, createReadStream, fstatSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { notFound, VarveError } from '../base/index.ts';
import { type Digest, digestAlgorithm, digestOf, parseDigest } from '../oci/index.ts';
import type { State } from '../state/index.ts';
import { chunkSize, corruptBlob, hashFile, removeQuietly, syncFolder, VerifyStream } from './files.ts';
import type { ExpectedBlob } from './ingest.ts';
import { Ingests } from './ingests.ts';
import { Leases } from './leases.ts';
import { BlobRecords } from './records.ts';
import { listFiles, recover, removeTemporaries } from './recover.ts';
import { StoreLayout, temporaryPrefix } from './store-layout.ts';
import type {
  BlobInfo,
  ByteRange,
  ContentProblem,
  ContentReport,
  ContentStore,
  Ingest,
  Lease,
} from './types.ts';

/** Blobs deleted in one go, without letting other work in between. */
const sweepBatch = 64;

export interface ContentStoreOptions {
  /** The data root; blobs go to its folder `content`. */
  readonly root: string;
  readonly state: State;
  /** Milliseconds for which a blob that was just written is never collected (default 10 s): time to lease or record it. */
  readonly grace?: number;
  /** Milliseconds after which an unfinished download that nobody touches is collected (default 24 h). */
  readonly ingestAge?: number;
}

/** A {@link ContentStore} over a folder; made with {@link openContentStore}. */
export class FileContentStore implements ContentStore {
  readonly #layout: StoreLayout;
  readonly #records: BlobRecords;
  readonly #leases = new Leases();
  readonly #ingests: Ingests;
  readonly #grace: number;
  readonly #ingestAge: number;
  /** Blobs written or found by a writer lately, with the monotonic time of that. */
  readonly #recent = new Map<Digest, number>();

  constructor(options: ContentStoreOptions) {
    this.#layout = new StoreLayout(options.root);
    this.#records = new BlobRecords(options.state);
    this.#grace = options.grace ?? 10_000;
    this.#ingestAge = options.ingestAge ?? 24 * 3600_000;
    this.#ingests = new Ingests(this.#layout, (path, blob) => this.#publish(path, blob));
    removeTemporaries(this.#layout);
    recover(this.#layout, this.#records);
  }

  stat(digest: Digest): BlobInfo | undefined {
    return this.#records.get(digest);
  }

  path(digest: Digest): string {
    this.#require(digest);
    return this.#layout.blob(digest);
  }

  open(digest: Digest, range: ByteRange = {}): Readable {
    const { size } = this.#require(digest);
    const { start = 0, end = size } = range;
    if (!(start >= 0 && start <= end && end <= size)) {
      throw new VarveError('invalid', 'RANGE_INVALID', `no bytes ${start}-${end} in a blob of ${size}`, {
        subject: digest,
      });
    }
    const { fd, inode } = this.#openFile(digest, size);
    const whole = start === 0 && end === size;
    const verify = new VerifyStream(digest, size, () => this.#setAside(digest, inode));
    if (start === end) {
      closeSync(fd);
      if (!whole) return Readable.from([]);
      verify.end();
      return verify;
    }
    const file = createReadStream('', { fd, start, end: end - 1, highWaterMark: chunkSize });
    if (!whole) return file;
    pipeline(file, verify, () => undefined);
    return verify;
  }

  async read(digest: Digest, limit = 4 * 1024 * 1024): Promise<Buffer> {
    const { size } = this.#require(digest);
    if (size > limit) {
      throw new VarveError(
        'too-large',
        'BLOB_TOO_LARGE',
        `blob ${digest} has ${size} bytes, the limit is ${limit}`,
        { subject: digest },
      );
    }
    const parts: Buffer[] = [];
    for await (const part of this.open(digest)) parts.push(part as Buffer);
    return Buffer.concat(parts);
  }

  async write(data: Uint8Array): Promise<BlobInfo> {
    const blob = { digest: digestOf(data), size: data.byteLength };
    if (this.#touch(blob.digest)) return blob;
    const path = this.temporaryPath();
    try {
      const file = await open(path, 'wx', 0o600);
      try {
        await file.writeFile(data);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#publish(path, blob);
    } catch (error) {
      await removeQuietly(path);
      throw VarveError.from(error);
    }
    return blob;
  }

  async ingest(
    key: string,
    expected: ExpectedBlob = {},
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Ingest> {
    return await this.#ingests.open(key, expected, options.signal);
  }

  temporaryPath(): string {
    return join(this.#layout.ingests, `${temporaryPrefix}${randomBytes(12).toString('hex')}`);
  }

  async adopt(path: string, blob: BlobInfo): Promise<void> {
    parseDigest(blob.digest);
    if (dirname(path) !== this.#layout.ingests) {
      throw new VarveError('internal', 'FOREIGN_PATH', `"${path}" is not a temporary path of this store`);
    }
    const file = await open(path, 'r+');
    try {
      const { size } = await file.stat();
      if (size !== blob.size) {
        throw new VarveError('data-loss', 'SIZE_MISMATCH', `the file has ${size} bytes, not ${blob.size}`, {
          subject: blob.digest,
        });
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#publish(path, blob);
  }

  lease(): Lease {
    return this.#leases.lease();
  }

  async *list(): AsyncGenerator<BlobInfo, void, void> {
    yield* this.#records.all();
  }

  /**
   * Mark and sweep. `roots` is read to its end before the first await, so a caller that makes it from its records in
   * the same turn misses nothing; whoever starts to use a blob later must lease it first and then look for it.
   */
  async collect(
    roots: Iterable<Digest>,
    options: { readonly ingestAge?: number } = {},
  ): Promise<{ readonly deleted: readonly Digest[]; readonly bytes: number }> {
    const collection = this.#leases.beginCollection();
    try {
      const marked = new Set(roots);
      const free = (blob: BlobInfo): boolean =>
        !marked.has(blob.digest) && !collection.holds(blob.digest) && !this.#isRecent(blob.digest);
      const candidates = [...this.#records.all()].filter(free);
      const deleted: Digest[] = [];
      let bytes = 0;
      for (let start = 0; start < candidates.length; start += sweepBatch) {
        const batch = candidates
          .slice(start, start + sweepBatch)
          .filter((blob) => free(blob) && this.stat(blob.digest));
        this.#delete(batch.map(({ digest }) => digest));
        for (const { digest, size } of batch) {
          deleted.push(digest);
          bytes += size;
        }
        // Let readers and writers in between two batches.
        await new Promise(setImmediate);
      }
      return { deleted, bytes: bytes + (await this.#collectLeftovers(options.ingestAge ?? this.#ingestAge)) };
    } finally {
      collection.end();
    }
  }

  /**
   * Reads every blob and compares it with its name and record.
   * @param options.repair sets damaged files aside and makes the records agree with the files, so that the next pull fetches what is missing.
   */
  async check(
    options: {
      readonly signal?: AbortSignal;
      readonly repair?: boolean;
      readonly onBlob?: (blob: BlobInfo) => void;
    } = {},
  ): Promise<ContentReport> {
    const problems: ContentProblem[] = [];
    let blobs = 0;
    let bytes = 0;
    for (const { digest, size } of this.#records.all()) {
      blobs++;
      options.onBlob?.({ digest, size });
      const problem = await this.#examine(digest, size, options.signal);
      if (problem === undefined) bytes += size;
      // It may have been collected while it was read.
      else if (this.stat(digest)) problems.push({ digest, problem });
    }
    const writers = this.#leases.beginCollection();
    for (const digest of listFiles(this.#layout)) {
      if (!this.stat(digest) && !writers.holds(digest)) problems.push({ digest, problem: 'unrecorded' });
    }
    writers.end();
    if (options.repair === true) {
      for (const { digest, problem } of problems) {
        if (problem === 'missing') this.#records.remove([digest]);
        if (problem === 'corrupt') this.#setAside(digest);
      }
      recover(this.#layout, this.#records);
    }
    return { blobs, bytes, problems };
  }

  quarantine(digest: Digest, target: string): boolean {
    const path = this.#layout.blob(digest);
    const known = this.stat(digest) !== undefined;
    this.#records.remove([digest]);
    for (const file of [path, this.#layout.damagedBlob(digest)]) {
      if (!statSync(file, { throwIfNoEntry: false })) continue;
      renameSync(file, target);
      return true;
    }
    return known;
  }

  reconcile(): void {
    recover(this.#layout, this.#records);
  }

  async #examine(
    digest: Digest,
    size: number,
    signal: AbortSignal | undefined,
  ): Promise<'missing' | 'corrupt' | undefined> {
    try {
      const found = await hashFile(this.#layout.blob(digest), digestAlgorithm(digest), signal);
      return found.digest === digest && found.size === size ? undefined : 'corrupt';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return 'missing';
      if (code === 'EIO') return 'corrupt';
      throw VarveError.from(error);
    }
  }

  /** Names a finished, synced file by its digest; record last. */
  async #publish(path: string, blob: BlobInfo): Promise<void> {
    using lease = this.#leases.lease();
    lease.add(blob.digest);
    if (this.#touch(blob.digest)) {
      await rm(path, { force: true });
      return;
    }
    await rename(path, this.#layout.blob(blob.digest));
    await syncFolder(this.#layout.folder(blob.digest));
    this.#records.put(blob);
    this.#recent.set(blob.digest, performance.now());
  }

  /** True when the blob is here; it then counts as just written. */
  #touch(digest: Digest): boolean {
    if (this.stat(digest) === undefined) return false;
    this.#recent.set(digest, performance.now());
    return true;
  }

  #isRecent(digest: Digest): boolean {
    const since = this.#recent.get(digest);
    if (since === undefined) return false;
    if (performance.now() - since < this.#grace) return true;
    this.#recent.delete(digest);
    return false;
  }

  #require(digest: Digest): BlobInfo {
    const blob = this.#records.get(digest);
    if (blob === undefined) throw notFound('blob', digest);
    return blob;
  }

  #openFile(digest: Digest, size: number): { readonly fd: number; readonly inode: number } {
    let fd: number;
    try {
      fd = openSync(this.#layout.blob(digest), 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw VarveError.from(error);
      // Somebody removed the file: forget the blob, so that the next pull brings it back.
      this.#records.remove([digest]);
      throw corruptBlob(digest, 'its file is gone');
    }
    const info = fstatSync(fd);
    if (info.size !== size) {
      closeSync(fd);
      this.#setAside(digest, info.ino);
      throw corruptBlob(digest, `its file has ${info.size} bytes, not ${size}`);
    }
    return { fd, inode: info.ino };
  }

  /** Takes a damaged blob out of use; `inode` says which file was found damaged, in case it was replaced since. */
  #setAside(digest: Digest, inode?: number): void {
    const path = this.#layout.blob(digest);
    const now = statSync(path, { throwIfNoEntry: false });
    if (now === undefined || (inode !== undefined && now.ino !== inode)) return;
    this.#records.remove([digest]);
    renameSync(path, this.#layout.damagedBlob(digest));
  }

  /** Record first: a crash in between leaves a file without a record, which the next open takes up again. */
  #delete(digests: readonly Digest[]): void {
    this.#records.remove(digests);
    for (const digest of digests) rmSync(this.#layout.blob(digest), { force: true });
  }

  async #collectLeftovers(ingestAge: number): Promise<number> {
    const now = Date.now();
    let bytes = await this.#ingests.collect(now - ingestAge, now - this.#ingestAge);
    for (const name of await readdir(this.#layout.damaged)) {
      const path = join(this.#layout.damaged, name);
      bytes += (await stat(path).catch(() => undefined))?.size ?? 0;
      await removeQuietly(path);
    }
    return bytes;
  }
}

/**
 * Opens (or creates) the store under `root` and heals what a crash left. One process at a time may have it open;
 * the engine holds the lock of the data root.
 */
export function openContentStore(options: ContentStoreOptions): FileContentStore {
  return new FileContentStore(options);
}
