import type { RemoteRepository } from '../../distribution/index.ts';
import type { Descriptor, Digest } from '../../oci/index.ts';
import type { BlobRecord } from '../metadata/index.ts';
import type { RegistryStorage, WriteSession } from '../storage/index.ts';
import type { Uploads } from '../uploads/index.ts';
import { ArrivingBlob } from './arriving-blob.ts';
import { download } from './download.ts';

// Beyond this the next one waits: a client that leaves does not end what it began.
const maxArrivals = 100;
// Smaller ones are given when they are whole: what is wrong with them is then said with a status.
const smallBytes = 64 * 1024;

interface Arrival {
  readonly repository: string;
  readonly begun: Promise<BlobRecord | ArrivingBlob>;
  /** Resolves when nothing of it goes on. */
  readonly over: Promise<void>;
}

/**
 * The blobs that are on their way here. One fetch serves everybody, goes at the speed of the other registry and the storage
 * whoever reads along, and ends when the blob is stored, also when nobody reads any more.
 */
export class BlobArrivals implements AsyncDisposable {
  readonly #uploads: Uploads;
  readonly #storage: RegistryStorage;
  readonly #running = new Map<Digest, Arrival>();
  readonly #stop = new AbortController();

  constructor(uploads: Uploads, storage: RegistryStorage) {
    this.#uploads = uploads;
    this.#storage = storage;
  }

  /** One that is on its way into this repository; waits for the end of one on its way into another. */
  async find(repository: string, digest: Digest): Promise<BlobRecord | ArrivingBlob | undefined> {
    const running = this.#running.get(digest);
    if (running?.repository === repository) return await running.begun;
    await running?.over;
    return undefined;
  }

  /**
   * Begins to fetch a blob that is not on its way.
   * @param explain makes what the fetch or the quota refused for an error for the client; called once
   * @returns once its first bytes are here; undefined when it is on its way after all, for whatever repository
   */
  async begin(
    repository: string,
    remote: RemoteRepository,
    blob: Descriptor,
    explain: (cause: unknown) => Error,
  ): Promise<BlobRecord | ArrivingBlob | undefined> {
    while (this.#running.size >= maxArrivals) {
      await Promise.race([...this.#running.values()].map(({ over }) => over));
    }
    if (this.#running.has(blob.digest)) return undefined;
    const { promise: begun, resolve, reject } = Promise.withResolvers<BlobRecord | ArrivingBlob>();
    let session: WriteSession | undefined;
    const chunks = announced(download(remote, blob, this.#stop.signal), () => {
      if (blob.size <= smallBytes || !session?.follow) return;
      resolve(new ArrivingBlob(blob, { stored, session, storage: this.#storage }));
    });
    const body = { chunks, length: blob.size, stop: () => undefined };
    const stored = this.#uploads
      .monolithic(repository, blob.digest, body, (opened) => {
        session = opened;
      })
      .catch((error: unknown) => {
        throw explain(error);
      });
    const over = stored.then(resolve, reject).finally(() => this.#running.delete(blob.digest));
    this.#running.set(blob.digest, { repository, begun, over });
    return await begun;
  }

  /** Ends what is on its way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#running.values()].map(({ over }) => over));
  }
}

/** Passes chunks on, and says when the first is there. */
async function* announced(
  chunks: AsyncIterable<Uint8Array>,
  onFirst: () => void,
): AsyncGenerator<Uint8Array, void, void> {
  let first = true;
  for await (const chunk of chunks) {
    if (first) onFirst();
    first = false;
    yield chunk;
  }
}
