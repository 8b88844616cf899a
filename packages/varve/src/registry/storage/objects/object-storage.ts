import { Readable } from 'node:stream';
import { isKind, VarveError } from '../../../base/index.ts';
import type { ByteRange } from '../../../content/index.ts';
import type { Digest } from '../../../oci/index.ts';
import type { RegistryStorage, StoredBlob, StoredUpload, WriteSession } from '../types.ts';
import { WriteBudget, type WriteSizes } from '../write-budget.ts';
import { ChunkPool } from './chunk-pool.ts';
import {
  blobKey,
  blobsPrefix,
  digestOfKey,
  isUploadId,
  noteKey,
  parseUploadKey,
  recordKey,
  recordsPrefix,
  uploadPrefix,
  uploadsPrefix,
} from './keys.ts';
import { ObjectWriteSession, type SessionParts } from './object-write-session.ts';
import type { RetryPolicy } from './retry.ts';
import { RetryingStore } from './retrying-store.ts';
import type { ObjectStore, PresignOptions, StoredObject } from './types.ts';

// The longest note that is read; ours have some hundred bytes.
const maxNoteBytes = 64 * 1024;
// A manifest has 4 MiB at most, and its record some hundred bytes more.
const maxRecordBytes = 5 * 1024 * 1024;

/** 8 MiB as most clients of object stores have it; 64 uploads have 384 KiB, twice. */
const defaultChunkSizes: WriteSizes = {
  largestBytes: 8 * 1024 * 1024,
  smallestBytes: 256 * 1024,
  budgetBytes: 48 * 1024 * 1024,
};

/** How {@link ObjectStorage} uses its store. */
export interface ObjectStorageOptions {
  readonly chunks?: Partial<WriteSizes>;
  readonly retry?: RetryPolicy;
  /** Objects that one page of a listing has; the store's own most when absent. */
  readonly pageKeys?: number;
}

/**
 * A registry's bytes in an object store:
 * ```
 * blobs/<algorithm>/<first two digits>/<hex>
 * uploads/<id>/note          what a resumable upload belongs to
 * uploads/<id>/<offset>      the chunk that begins there
 * records/<first two digits>/<sha256 of the name>
 * ```
 * Several servers may work on one store.
 */
export class ObjectStorage implements RegistryStorage {
  readonly name: string;
  readonly shared = true;
  readonly presign?: (digest: Digest, options: PresignOptions) => Promise<URL>;
  readonly #store: ObjectStore;
  readonly #parts: SessionParts;

  constructor(store: ObjectStore, { chunks, retry }: ObjectStorageOptions = {}) {
    this.name = store.name;
    this.#store = new RetryingStore(store, retry);
    const sizes = { ...defaultChunkSizes, ...chunks };
    this.#parts = {
      store: this.#store,
      budget: new WriteBudget(sizes),
      pool: new ChunkPool(sizes.budgetBytes),
    };
    const presign = this.#store.presign?.bind(this.#store);
    if (presign) this.presign = (digest, options) => presign(blobKey(digest), options);
  }

  async stat(digest: Digest): Promise<StoredBlob | undefined> {
    const found = await this.#store.stat(blobKey(digest));
    return found && { digest, size: found.size, storedAt: found.modifiedAt };
  }

  async read(digest: Digest, range: ByteRange = {}): Promise<Readable> {
    const key = blobKey(digest);
    const start = range.start ?? 0;
    try {
      // A range that begins at the end, or any of an empty object, is none to a store (RFC 9110 section 14.1.2).
      if (range.end !== undefined && range.end <= start) return Readable.from([]);
      const whole = start === 0 && range.end === undefined;
      if (whole && (await this.#store.stat(key))?.size === 0) return Readable.from([]);
      return await this.#store.read(key, whole ? undefined : range);
    } catch (cause) {
      if (!isKind(cause, 'not-found')) throw cause;
      throw new VarveError('not-found', 'BLOB_UNKNOWN', `no blob ${digest}`, { subject: digest, cause });
    }
  }

  async create(id: string, note = ''): Promise<WriteSession> {
    uploadPrefix(id);
    if (note !== '') await this.#store.put(noteKey(id), Buffer.from(note));
    return new ObjectWriteSession(id, note, this.#parts);
  }

  async resume(id: string): Promise<WriteSession | undefined> {
    if (!isUploadId(id)) return undefined;
    const note = await this.#readNote(id);
    if (note === undefined) return undefined;
    const found: StoredObject[] = [];
    for await (const object of this.#store.list(uploadPrefix(id))) {
      if (parseUploadKey(object.key)?.offset !== undefined) found.push(object);
    }
    const { chain, strays } = chainOf(found);
    // Of no use, and in the way of a chunk that will begin there.
    for (let start = 0; start < strays.length; start += 1000) {
      await this.#store.remove(strays.slice(start, start + 1000));
    }
    return new ObjectWriteSession(id, note, this.#parts, chain);
  }

  async *uploads(): AsyncIterable<StoredUpload> {
    let current: { id: string; updatedAt: number; resumable: boolean } | undefined;
    for await (const { key, modifiedAt } of this.#store.list(uploadsPrefix)) {
      const parsed = parseUploadKey(key);
      if (!parsed) continue;
      if (current?.id !== parsed.id) {
        if (current) yield current;
        current = { id: parsed.id, updatedAt: 0, resumable: false };
      }
      current.updatedAt = Math.max(current.updatedAt, modifiedAt);
      current.resumable ||= parsed.name === 'note';
    }
    if (current) yield current;
  }

  async abandon(id: string): Promise<void> {
    await new ObjectWriteSession(id, '', this.#parts).abort();
  }

  async dropUnfinished(before: number): Promise<number> {
    return (await this.#store.dropUnfinished?.(before)) ?? 0;
  }

  async delete(digest: Digest): Promise<boolean> {
    const key = blobKey(digest);
    if (!(await this.#store.stat(key))) return false;
    await this.#store.remove([key]);
    return true;
  }

  async *list(): AsyncIterable<StoredBlob> {
    for await (const { key, size, modifiedAt } of this.#store.list(blobsPrefix)) {
      const digest = digestOfKey(key);
      if (digest) yield { digest, size, storedAt: modifiedAt };
    }
  }

  async writeRecord(name: string, bytes: Uint8Array): Promise<void> {
    await this.#store.put(recordKey(name), bytes);
  }

  async removeRecord(name: string): Promise<void> {
    await this.#store.remove([recordKey(name)]);
  }

  async *records(): AsyncIterable<Uint8Array> {
    for await (const { key } of this.#store.list(recordsPrefix)) {
      const bytes = await this.#readSmall(key, maxRecordBytes);
      if (bytes) yield bytes;
    }
  }

  async close(): Promise<void> {
    await this.#store.close?.();
  }

  async #readNote(id: string): Promise<string | undefined> {
    return (await this.#readSmall(noteKey(id), maxNoteBytes))?.toString();
  }

  /** undefined when it is not there, or larger than any of ours. */
  async #readSmall(key: string, limit: number): Promise<Buffer | undefined> {
    try {
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of await this.#store.read(key)) {
        chunks.push(chunk as Buffer);
        size += (chunk as Buffer).length;
        if (size > limit) return undefined;
      }
      return Buffer.concat(chunks);
    } catch (error) {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    }
  }
}

/**
 * The chunks that follow each other from 0, and the keys of the others: a chunk behind one that was never stored, or
 * that a later, different one overlaps.
 */
export function chainOf(chunks: readonly StoredObject[]): {
  readonly chain: readonly StoredObject[];
  readonly strays: readonly string[];
} {
  const chain: StoredObject[] = [];
  const strays: string[] = [];
  let end = 0;
  for (const chunk of chunks) {
    if (parseUploadKey(chunk.key)?.offset === end && chunk.size > 0) {
      chain.push(chunk);
      end += chunk.size;
    } else {
      strays.push(chunk.key);
    }
  }
  return { chain, strays };
}
