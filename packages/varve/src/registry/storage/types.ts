import type { Readable } from 'node:stream';
import type { ByteRange } from '../../content/index.ts';
import type { Digest } from '../../oci/index.ts';

/** A whole blob in storage. */
export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
  /** When it was put there, milliseconds since 1970. */
  readonly storedAt: number;
}

/** An unfinished upload in storage. */
export interface StoredUpload {
  readonly id: string;
  /** The last write, milliseconds since 1970. */
  readonly updatedAt: number;
  /** False when it was created without a note: no request can come back to it. */
  readonly resumable: boolean;
}

/** A whole blob that is open: it can be read to its end, also when it is deleted meanwhile. */
export interface OpenBlob {
  /** Fills `buffer` with what stands from `position` on; returns how much that was, 0 behind the end. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** To be called once, when no read is under way. */
  close(): Promise<void>;
}

/** How {@link WriteSession.append} treats the chunks. */
export interface AppendOptions {
  /** To be called with each chunk once its bytes are needed no more: their memory is then given back at once. */
  readonly release?: ((chunk: Uint8Array) => void) | undefined;
}

/**
 * One unfinished blob. A session is used by one caller at a time; it does not hash, its caller does
 * (`uploads/`), so that every backend verifies alike.
 *
 * Life: `create` -> `append`* -> (`close` -> `resume` -> `append`*)* -> `commit` | `abort`.
 */
export interface WriteSession {
  readonly id: string;
  /** What {@link RegistryStorage.create} was given; empty when nothing. */
  readonly note: string;
  /** Bytes accepted so far. After a crash it may be anything up to what was sent: the caller re-hashes. */
  readonly offset: number;
  /**
   * Of a storage that other servers work on: stands for the bytes accepted so far, equal only for equal ones; undefined
   * where that cannot be said.
   */
  readonly version?: string | undefined;
  /**
   * Writes the chunks at the offset, with back-pressure. When `chunks` throws, what came before is kept, `offset`
   * tells how much, and the error is passed on.
   */
  append(chunks: AsyncIterable<Uint8Array>, options?: AppendOptions): Promise<void>;
  /** What was appended so far, from the start. */
  read(): AsyncIterable<Uint8Array>;
  /**
   * Reads beside the writer, from `start` on: what was appended, then what is being appended, as it comes. Ends some time after
   * the commit, maybe short of all (the rest is in the blob), and with `abort`. The chunks are the reader's to keep; a slow
   * reader holds up nobody. Absent where the storage cannot.
   */
  follow?(start: number): AsyncIterable<Uint8Array>;
  /**
   * Makes the bytes the blob `digest`, which the caller has verified. When it returns, the blob survives power loss.
   * A blob that was there is replaced by the same bytes, whole at every instant.
   */
  commit(digest: Digest): Promise<void>;
  /** Releases what is held in memory and keeps the bytes, from when on the session can be resumed. */
  close(): Promise<void>;
  /** Drops the bytes. */
  abort(): Promise<void>;
}

/**
 * Where a registry keeps its bytes: blobs by digest, and uploads by id. Records (repositories, tags, manifests) are
 * not here but in `metadata/`. What it does not promise: an order of `list`, or that `list` sees a blob committed
 * after it began.
 */
export interface RegistryStorage {
  /** Name of the backend as in the configuration, e.g. `filesystem`. */
  readonly name: string;
  /** True when other servers may work on it at the same time; false when it is this server's alone. */
  readonly shared: boolean;
  /** undefined when there is no such blob. */
  stat(digest: Digest): Promise<StoredBlob | undefined>;
  /** @throws VarveError `not-found` before the stream is returned. */
  read(digest: Digest, range?: ByteRange): Promise<Readable>;
  /**
   * Opens a blob for a reader that brings its own memory, which costs half of what a stream does. Absent where blobs are not
   * files.
   * @throws VarveError `not-found`
   */
  open?(digest: Digest): Promise<OpenBlob>;
  /** Starts an upload. @param id made by the caller, unique. @param note kept with it; without one it cannot be resumed. */
  create(id: string, note?: string): Promise<WriteSession>;
  /** undefined when there is no such upload, or it has no note. */
  resume(id: string): Promise<WriteSession | undefined>;
  uploads(): AsyncIterable<StoredUpload>;
  /** Drops an upload that nobody has open. */
  abandon(id: string): Promise<void>;
  /** False when there was none. Readers that have it open read on. */
  delete(digest: Digest): Promise<boolean>;
  list(): AsyncIterable<StoredBlob>;
  /** A URL from which a client may fetch the blob itself, for backends that can sign one. */
  presign?(
    digest: Digest,
    options: { readonly method: 'GET' | 'HEAD'; readonly expiresIn: number },
  ): Promise<URL>;
  /**
   * Keeps a small record by its name, beside the blobs: a copy of what `metadata/` knows, from which it is made again when it
   * is lost. Whole old or whole new at every instant, and durable when it returns.
   */
  writeRecord(name: string, bytes: Uint8Array): Promise<void>;
  /** Removing what is not there does nothing. */
  removeRecord(name: string): Promise<void>;
  /** All records, in no order. Their names are not kept: what matters stands in the bytes. */
  records(): AsyncIterable<Uint8Array>;
  /** Drops what commits that were killed before `before` (milliseconds since 1970) left half done; returns how many. */
  dropUnfinished?(before: number): Promise<number>;
  close(): Promise<void>;
}
