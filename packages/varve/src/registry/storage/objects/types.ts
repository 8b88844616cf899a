import type { Readable } from 'node:stream';
import type { ByteRange } from '../../../content/index.ts';

/** One object of a store. */
export interface StoredObject {
  readonly key: string;
  readonly size: number;
  /** Milliseconds since 1970, as exact as the store has it. */
  readonly modifiedAt: number;
  /** The store's tag of these very bytes, where it has one. */
  readonly etag?: string | undefined;
}

/** What {@link ObjectStore.presign} is asked for. */
export interface PresignOptions {
  readonly method: 'GET' | 'HEAD';
  /** Seconds. */
  readonly expiresIn: number;
}

/**
 * A store of whole objects by key, as clouds have them: what a backend has to bring. Keys are ASCII, of
 * `[A-Za-z0-9/-]`, at most 256 long. Everything else (uploads that resume, chunks, retries, bounded memory) is
 * `ObjectStorage`, alike for all.
 *
 * Failures: a VarveError `unavailable` is tried again, with a growing pause; `not-found` where said; anything else is
 * final. So every method may be called again with the same arguments and must then do the same.
 */
export interface ObjectStore {
  /** Name of the backend as in the configuration, e.g. `s3`. */
  readonly name: string;
  /** Sources that one {@link assemble} takes. */
  readonly maxSources: number;
  /** Bytes of the largest source that {@link assemble} takes. */
  readonly maxSourceBytes: number;
  /** undefined when there is no such object. */
  stat(key: string): Promise<StoredObject | undefined>;
  /** Of an object that is not empty; the range is within it. @throws VarveError `not-found` before the stream is returned */
  read(key: string, range?: ByteRange): Promise<Readable>;
  /** Replaces an object that is there: whole old or whole new at every instant. Durable when it returns. */
  put(key: string, bytes: Uint8Array): Promise<{ readonly etag?: string | undefined }>;
  /**
   * Makes `target` the concatenation of one or more objects that stay, within the store: the bytes do not come here.
   * `target` is whole or not there at every instant, whatever fails.
   * @throws VarveError `not-found` or `conflict` when a source is gone or is not what it was
   */
  assemble(sources: readonly StoredObject[], target: string): Promise<void>;
  /** Removes them; those that are not there do not matter. At most 1000. */
  remove(keys: readonly string[]): Promise<void>;
  /** All objects whose key begins with `prefix`, ascending by key, however many. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** A URL that gives the object to whoever has it. */
  presign?(key: string, options: PresignOptions): Promise<URL>;
  /** Drops what an {@link assemble} that was killed before `before` has left where `list` does not show it; returns how many. */
  dropUnfinished?(before: number): Promise<number>;
  close?(): Promise<void>;
}
