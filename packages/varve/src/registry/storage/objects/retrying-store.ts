import type { Readable } from 'node:stream';
import type { ByteRange } from '../../../content/index.ts';
import { type RetryPolicy, withRetry } from './retry.ts';
import type { ObjectStore, PresignOptions, StoredObject } from './types.ts';

/** A store whose methods are tried again when it is unavailable; a listing is not: its pages are the store's to repeat. */
export class RetryingStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #policy: RetryPolicy | undefined;
  readonly presign?: (key: string, options: PresignOptions) => Promise<URL>;

  constructor(store: ObjectStore, policy?: RetryPolicy) {
    this.#store = store;
    this.#policy = policy;
    const presign = store.presign?.bind(store);
    if (presign) this.presign = (key, options) => this.#again(() => presign(key, options));
  }

  get name(): string {
    return this.#store.name;
  }

  get maxSources(): number {
    return this.#store.maxSources;
  }

  get maxSourceBytes(): number {
    return this.#store.maxSourceBytes;
  }

  stat(key: string): Promise<StoredObject | undefined> {
    return this.#again(() => this.#store.stat(key));
  }

  read(key: string, range?: ByteRange): Promise<Readable> {
    return this.#again(() => this.#store.read(key, range));
  }

  put(key: string, bytes: Uint8Array): Promise<{ readonly etag?: string | undefined }> {
    return this.#again(() => this.#store.put(key, bytes));
  }

  assemble(sources: readonly StoredObject[], target: string): Promise<void> {
    return this.#again(() => this.#store.assemble(sources, target));
  }

  remove(keys: readonly string[]): Promise<void> {
    return this.#again(() => this.#store.remove(keys));
  }

  list(prefix: string): AsyncIterable<StoredObject> {
    return this.#store.list(prefix);
  }

  dropUnfinished(before: number): Promise<number> {
    return this.#again(async () => (await this.#store.dropUnfinished?.(before)) ?? 0);
  }

  async close(): Promise<void> {
    await this.#store.close?.();
  }

  #again<T>(work: () => Promise<T>): Promise<T> {
    return withRetry(work, this.#policy);
  }
}
