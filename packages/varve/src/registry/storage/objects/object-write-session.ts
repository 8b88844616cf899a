import type { Digest } from '../../../oci/index.ts';
import type { WriteSession } from '../types.ts';
import { assembleAll } from './assemble.ts';
import type { ChunkBudget } from './chunk-size.ts';
import { FillingChunk } from './filling-chunk.ts';
import { blobKey, chunkKey, noteKey, parseUploadKey, uploadPrefix } from './keys.ts';
import type { ObjectStore, StoredObject } from './types.ts';

const removeBatch = 1000;

/** What a session works with. */
export interface SessionParts {
  readonly store: ObjectStore;
  readonly budget: ChunkBudget;
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
  readonly #budget: ChunkBudget;
  #chunks: StoredObject[];
  #stored: number;
  #held: Buffer = Buffer.alloc(0);

  /** @param chunks what the store has, without a gap from 0 */
  constructor(id: string, note: string, parts: SessionParts, chunks: readonly StoredObject[] = []) {
    this.id = id;
    this.note = note;
    this.#store = parts.store;
    this.#budget = parts.budget;
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

  async append(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    using _writer = this.#budget.enter();
    let filling = new FillingChunk(this.#held);
    this.#held = Buffer.alloc(0);
    let sending: Promise<void> = Promise.resolve();
    try {
      for await (const chunk of chunks) {
        filling.add(chunk, this.#budget.chunkBytes);
        if (filling.size < this.#budget.chunkBytes) continue;
        const full = filling.take();
        filling = new FillingChunk();
        await sending;
        sending = this.#send(full);
        // Nobody waits for it until the next chunk is full.
        sending.catch(() => undefined);
      }
    } finally {
      await sending;
      const rest = filling.take();
      if (this.note === '') this.#held = rest;
      else if (rest.length > 0) await this.#send(rest);
    }
  }

  async *read(): AsyncIterable<Uint8Array> {
    for (const { key } of this.#chunks) yield* (await this.#store.read(key)) as AsyncIterable<Uint8Array>;
    if (this.#held.length > 0) yield this.#held;
  }

  async commit(digest: Digest): Promise<void> {
    const target = blobKey(digest);
    if (this.#chunks.length === 0) {
      await this.#store.put(target, this.#held);
    } else {
      if (this.#held.length > 0) {
        const rest = this.#held;
        this.#held = Buffer.alloc(0);
        await this.#send(rest);
      }
      const prefix = uploadPrefix(this.id);
      await assembleAll(
        this.#store,
        this.#chunks,
        target,
        (level, index) => `${prefix}level-${level}-${index}`,
      );
    }
    // The blob is there. What could not be removed is an upload that expires.
    if (this.#chunks.length > 0 || this.note !== '') await this.#removeAll().catch(() => undefined);
  }

  async close(): Promise<void> {
    // Everything a client was told of is in the store; what is held is part of a request that has not ended.
  }

  async abort(): Promise<void> {
    this.#held = Buffer.alloc(0);
    await this.#removeAll();
    this.#chunks = [];
    this.#stored = 0;
  }

  async #send(bytes: Buffer): Promise<void> {
    const key = chunkKey(this.id, this.#stored);
    const { etag } = await this.#store.put(key, bytes);
    this.#chunks.push({ key, size: bytes.length, modifiedAt: Date.now(), etag });
    this.#stored += bytes.length;
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
