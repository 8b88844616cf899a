import type { ByteRange } from '../../../content/index.ts';
import type { Digest } from '../../../oci/index.ts';
import { Growth } from '../growth.ts';
import type { AppendOptions, WriteSession } from '../types.ts';
import { assembleAll } from './assemble.ts';
import type { WriteBudget } from '../write-budget.ts';
import type { ChunkPool } from './chunk-pool.ts';
import { FillingChunk } from './filling-chunk.ts';
import { blobKey, chunkKey, noteKey, parseUploadKey, uploadPrefix } from './keys.ts';
import type { ObjectStore, StoredObject } from './types.ts';

const removeBatch = 1000;
// What a slow reader holds: a copy of so much, not the chunk that it is a part of.
const followBytes = 256 * 1024;

/** What a session works with. */
export interface SessionParts {
  readonly store: ObjectStore;
  readonly budget: WriteBudget;
  readonly pool: ChunkPool;
}

/**
 * An upload as chunks, each an object named by where it begins; see {@link WriteSession}. What is in the store is all
 * there is to know of it, so any server goes on where another was killed. At the commit the store itself puts the
 * chunks together.
 *
 * A chunk is sent while the next one fills. What is left when the sender pauses goes out as a smaller chunk, since
 * what a client was told has arrived must be there after a crash; but of an upload without a note, to which nobody can
 * come back, it is kept for the commit: a small blob is one request.
 */
export class ObjectWriteSession implements WriteSession {
  readonly id: string;
  readonly note: string;
  readonly #store: ObjectStore;
  readonly #budget: WriteBudget;
  readonly #pool: ChunkPool;
  #chunks: StoredObject[];
  #stored: number;
  #held: Buffer = Buffer.alloc(0);
  /** Full chunks that are on their way, the next one first. */
  readonly #unsent: Buffer[] = [];
  #filling: FillingChunk | undefined;
  readonly #growth = new Growth();
  #dropped = false;

  /** @param chunks what the store has, without a gap from 0 */
  constructor(id: string, note: string, parts: SessionParts, chunks: readonly StoredObject[] = []) {
    this.id = id;
    this.note = note;
    this.#store = parts.store;
    this.#budget = parts.budget;
    this.#pool = parts.pool;
    this.#chunks = [...chunks];
    this.#stored = chunks.reduce((sum, { size }) => sum + size, 0);
  }

  get offset(): number {
    return this.#stored + this.#held.length;
  }

  get version(): string | undefined {
    if (this.#held.length > 0 || this.#chunks.some(({ etag }) => etag === undefined)) return undefined;
    return this.#chunks.map(({ size, etag }) => `${size} ${etag}`).join('\n');
  }

  async append(chunks: AsyncIterable<Uint8Array>, { release }: AppendOptions = {}): Promise<void> {
    using _writer = this.#budget.enter();
    this.#unsent.length = 0;
    let filling = new FillingChunk(this.#pool, this.#held);
    this.#filling = filling;
    this.#held = Buffer.alloc(0);
    let sending: Promise<void> = Promise.resolve();
    try {
      for await (const chunk of chunks) {
        const isFull = filling.add(chunk, this.#budget.shareBytes(this.#pool.heldBytes));
        release?.(chunk);
        this.#growth.grew();
        if (!isFull) continue;
        const full = filling;
        filling = new FillingChunk(this.#pool);
        this.#unsent.push(full.bytes());
        this.#filling = filling;
        const before = sending;
        sending = this.#sendChunk(full, before);
        // Nobody waits for it until the next chunk is full.
        sending.catch(() => undefined);
        await before;
      }
    } finally {
      try {
        await sending;
        // A copy, as small as it is, of what is kept: its chunk is for others.
        const rest = Buffer.from(filling.bytes());
        this.#filling = undefined;
        if (this.note === '') this.#held = rest;
        else if (rest.length > 0) await this.#sendRest(rest);
      } finally {
        this.#filling = undefined;
        filling.release();
        if (this.#budget.writers === 1) this.#pool.clear();
      }
    }
  }

  async *read(): AsyncIterable<Uint8Array> {
    for (const { key } of this.#chunks) yield* (await this.#store.read(key)) as AsyncIterable<Uint8Array>;
    if (this.#held.length > 0) yield this.#held;
  }

  async *follow(start: number): AsyncIterable<Uint8Array> {
    let position = start;
    while (!this.#dropped) {
      const bytes = this.#inMemory(position);
      if (bytes) {
        const piece = Buffer.from(bytes.subarray(0, followBytes));
        position += piece.length;
        yield piece;
        continue;
      }
      const chunk = this.#chunkAt(position);
      if (this.#growth.ended) return;
      if (!chunk) {
        await this.#growth.next();
        continue;
      }
      try {
        for await (const piece of await this.#store.read(chunk.key, chunk.range)) {
          position += (piece as Buffer).length;
          yield piece as Buffer;
        }
      } catch (error) {
        // The commit takes the chunks away.
        if (this.#growth.ended) return;
        throw error;
      }
    }
  }

  async commit(digest: Digest): Promise<void> {
    const target = blobKey(digest);
    if (this.#chunks.length === 0) {
      await this.#store.put(target, this.#held);
    } else {
      if (this.#held.length > 0) {
        const rest = this.#held;
        this.#held = Buffer.alloc(0);
        await this.#sendRest(rest);
      }
      const prefix = uploadPrefix(this.id);
      await assembleAll(
        this.#store,
        this.#chunks,
        target,
        (level, index) => `${prefix}level-${level}-${index}`,
      );
    }
    this.#growth.end();
    // The blob is there. What could not be removed is an upload that expires.
    if (this.#chunks.length > 0 || this.note !== '') await this.#removeAll().catch(() => undefined);
  }

  async close(): Promise<void> {
    // Everything a client was told of is in the store; what is held is part of a request that has not ended.
  }

  async abort(): Promise<void> {
    this.#dropped = true;
    this.#growth.end();
    this.#held = Buffer.alloc(0);
    await this.#removeAll();
    this.#chunks = [];
    this.#stored = 0;
  }

  /** What is not yet in the store of the bytes from `position` on; undefined when those are there, or nowhere. */
  #inMemory(position: number): Buffer | undefined {
    let start = this.#stored;
    if (position < start) return undefined;
    for (const bytes of [...this.#unsent, this.#filling?.bytes() ?? this.#held]) {
      if (position < start + bytes.length) return bytes.subarray(position - start);
      start += bytes.length;
    }
    return undefined;
  }

  /** Where in the store the byte at `position` is, with what follows it in its chunk. */
  #chunkAt(position: number): { readonly key: string; readonly range: Required<ByteRange> } | undefined {
    let start = 0;
    for (const { key, size } of this.#chunks) {
      if (position < start + size) return { key, range: { start: position - start, end: size } };
      start += size;
    }
    return undefined;
  }

  async #sendRest(bytes: Buffer): Promise<void> {
    this.#unsent.push(bytes);
    await this.#send(bytes);
  }

  /** Sends the first of the unsent chunks, after the one before it. */
  async #sendChunk(chunk: FillingChunk, before: Promise<void>): Promise<void> {
    let sent = false;
    try {
      await before;
      await this.#send(chunk.bytes());
      sent = true;
    } finally {
      chunk.release(sent);
    }
  }

  /** Sends the first of the unsent chunks. */
  async #send(bytes: Buffer): Promise<void> {
    const key = chunkKey(this.id, this.#stored);
    const { etag } = await this.#store.put(key, bytes);
    this.#chunks.push({ key, size: bytes.length, modifiedAt: Date.now(), etag });
    this.#stored += bytes.length;
    this.#unsent.shift();
  }

  /** The chunks first, the note last: a note without chunks is an upload at offset 0. */
  async #removeAll(): Promise<void> {
    const note = noteKey(this.id);
    let batch: string[] = [];
    for await (const { key } of this.#store.list(uploadPrefix(this.id))) {
      if (key === note || !parseUploadKey(key)) continue;
      batch.push(key);
      if (batch.length < removeBatch) continue;
      await this.#store.remove(batch);
      batch = [];
    }
    if (batch.length > 0) await this.#store.remove(batch);
    await this.#store.remove([note]);
  }
}
