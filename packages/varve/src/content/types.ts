import type { Readable } from 'node:stream';
import type { Digest } from '../oci/index.ts';

/** Start of the keys of ingests that nobody can take up again, because nobody else knows the key. */
export const onceOnly = 'once:';

/** A half-open byte range; `end` is the first byte not wanted. */
export interface ByteRange {
  readonly start?: number;
  readonly end?: number;
}

export interface BlobInfo {
  readonly digest: Digest;
  readonly size: number;
}

/** What is wrong with one blob. `missing`: recorded, no file; `corrupt`: bytes are not what the name says; `unrecorded`: a file without a record. */
export interface ContentProblem {
  readonly digest: Digest;
  readonly problem: 'missing' | 'corrupt' | 'unrecorded';
}

/** What {@link ContentStore.check} found; `bytes` are those that are right. */
export interface ContentReport {
  readonly blobs: number;
  readonly bytes: number;
  readonly problems: readonly ContentProblem[];
}

/**
 * Content-addressed blobs under one root. A blob is visible only when whole and verified; writing follows
 * write, fsync, rename, fsync the folder, then the record (DESIGN section 4).
 */
export interface ContentStore {
  /** undefined when the store has no such blob. */
  stat(digest: Digest): BlobInfo | undefined;
  /** Path of the blob's file, for readers that map or hand it on. @throws VarveError `not-found` */
  path(digest: Digest): string;
  /** @throws VarveError `not-found`; the stream fails with `data-loss` when a full read does not hash to its name. */
  open(digest: Digest, range?: ByteRange): Readable;
  /** Whole blob in memory, verified. @throws `not-found`, `too-large` over `limit` bytes (default 4 MiB), `data-loss`. */
  read(digest: Digest, limit?: number): Promise<Buffer>;
  /** Stores bytes held in memory. Does nothing when the blob exists. */
  write(data: Uint8Array): Promise<BlobInfo>;
  /**
   * Opens (or reopens after a crash) the download named `key`. One writer at a time per key: a second caller waits.
   * A key is any string (a digest, an upload id); what is under one that begins with {@link onceOnly} is not kept for
   * the next process. The signal ends the wait for the key, not the ingest.
   */
  ingest(
    key: string,
    expected?: { readonly digest?: Digest; readonly size?: number },
    options?: { readonly signal?: AbortSignal },
  ): Promise<Ingest>;
  /** A path inside the store's own file system to write a blob into, to be given to {@link ContentStore.adopt}. */
  temporaryPath(): string;
  /** Takes over a finished file (made at {@link ContentStore.temporaryPath}) whose digest the caller computed while writing. */
  adopt(path: string, blob: BlobInfo): Promise<void>;
  /** Holds blobs against collection until released; leases of a dead engine end when the store is opened. */
  lease(): Lease;
  list(): AsyncIterable<BlobInfo>;
  /**
   * Reads every blob and compares it with its name and record.
   * @param options.repair sets damaged files aside and makes the records agree with the files.
   */
  check(options?: {
    readonly signal?: AbortSignal;
    readonly repair?: boolean;
    readonly onBlob?: (blob: BlobInfo) => void;
  }): Promise<ContentReport>;
  /**
   * Takes a blob out of use, and its file, if there is one, to a path of the same file system. False when there was neither
   * record nor file.
   */
  quarantine(digest: Digest, target: string): boolean;
  /** Records the files that have no record and are what their name says; removes the others. */
  reconcile(): void;
  /**
   * Deletes blobs that no root in `roots` names, that no lease holds, and abandoned ingests: those that nobody has open
   * and nobody touched for `ingestAge` ms (the store's own by default). Temporary files get the store's own age in any
   * case: they may be on their way in. Returns the bytes freed.
   */
  collect(
    roots: Iterable<Digest>,
    options?: { readonly ingestAge?: number },
  ): Promise<{ readonly deleted: readonly Digest[]; readonly bytes: number }>;
}

/** One resumable write. */
export interface Ingest {
  /** Bytes already there, hashed and safe to go on from. */
  readonly offset: number;
  write(chunk: Uint8Array): Promise<void>;
  /** Starts again at 0 (the server did not honour the range). */
  truncate(): Promise<void>;
  /** Makes the blob visible. @throws VarveError `data-loss` (`DIGEST_MISMATCH`, `SIZE_MISMATCH`); the bytes are then dropped. */
  commit(expected?: { readonly digest?: Digest; readonly size?: number }): Promise<BlobInfo>;
  /** Releases the key and keeps the bytes for a later resume. */
  close(): Promise<void>;
  /** Releases the key and drops the bytes. */
  abort(): Promise<void>;
}

export interface Lease extends Disposable {
  add(digest: Digest): void;
  release(): void;
}
