import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock, throwIfAborted, VarveError } from '../base/index.ts';
import { digestAlgorithm } from '../oci/index.ts';
import { hashInto, removeQuietly } from './files.ts';
import { type ExpectedBlob, FileIngest } from './ingest.ts';
import { type StoreLayout, temporaryPrefix } from './store-layout.ts';
import type { BlobInfo, Ingest } from './types.ts';

interface IngestMeta {
  readonly key: string;
  readonly digest: string | null;
}

/** The open and the resumable writes of one store. */
export class Ingests {
  readonly #layout: StoreLayout;
  readonly #publish: (path: string, blob: BlobInfo) => Promise<void>;
  readonly #locks = new KeyedLock();
  readonly #active = new Set<string>();

  constructor(layout: StoreLayout, publish: (path: string, blob: BlobInfo) => Promise<void>) {
    this.#layout = layout;
    this.#publish = publish;
  }

  /** Waits for the key, then opens its bytes; what is there already is hashed first. */
  async open(key: string, expected: ExpectedBlob, signal?: AbortSignal): Promise<Ingest> {
    const folder = this.#layout.ingest(key);
    const unlock = await this.#acquire(folder, signal);
    let file: FileHandle | undefined;
    try {
      await this.#prepare(folder, { key, digest: expected.digest ?? null });
      const path = join(folder, 'data');
      file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
      const algorithm = expected.digest === undefined ? 'sha256' : digestAlgorithm(expected.digest);
      let hash = createHash(algorithm);
      let size = await hashInto(hash, path);
      if (expected.size !== undefined && size > expected.size) {
        await file.truncate(0);
        hash = createHash(algorithm);
        size = 0;
      }
      const release = async (keep: boolean): Promise<void> => {
        try {
          if (!keep) await removeQuietly(folder);
        } finally {
          unlock();
        }
      };
      return new FileIngest(path, file, { publish: this.#publish, release }, expected, hash, size);
    } catch (error) {
      await file?.close();
      unlock();
      throw VarveError.from(error);
    }
  }

  /**
   * Removes writes that nobody has open and nobody touched since `before` (ms since 1970); returns their bytes.
   * `temporariesBefore` is that of temporary files: nothing says whether somebody has one open, only its age tells.
   */
  async collect(before: number, temporariesBefore: number): Promise<number> {
    let bytes = 0;
    for (const name of await readdir(this.#layout.ingests)) {
      const path = join(this.#layout.ingests, name);
      if (this.#active.has(path)) continue;
      const temporary = name.startsWith(temporaryPrefix);
      const info = await stat(temporary ? path : join(path, 'data')).catch(() => undefined);
      if (this.#active.has(path) || (info && info.mtimeMs >= (temporary ? temporariesBefore : before)))
        continue;
      await removeQuietly(path);
      bytes += info?.size ?? 0;
    }
    return bytes;
  }

  /** Leaves the folder empty unless it holds bytes of the same key and digest. */
  async #prepare(folder: string, meta: IngestMeta): Promise<void> {
    const text = JSON.stringify(meta);
    const metaPath = join(folder, 'meta.json');
    const before = await readFile(metaPath, 'utf8').catch(() => undefined);
    if (before === text) return;
    await removeQuietly(folder);
    await mkdir(folder, { mode: 0o700 });
    await writeFile(metaPath, text, { mode: 0o600 });
  }

  async #acquire(folder: string, signal: AbortSignal | undefined): Promise<() => void> {
    throwIfAborted(signal);
    const turn = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    let mine = false;
    const unlock = (): void => {
      this.#active.delete(folder);
      held.resolve();
    };
    void this.#locks.run(folder, () => {
      // Whoever gave up waiting lets the next one in at once.
      if (signal?.aborted) return undefined;
      mine = true;
      this.#active.add(folder);
      turn.resolve();
      return held.promise;
    });
    const onAbort = (): void => turn.resolve();
    signal?.addEventListener('abort', onAbort);
    await turn.promise;
    signal?.removeEventListener('abort', onAbort);
    if (signal?.aborted && mine) unlock();
    throwIfAborted(signal);
    return unlock;
  }
}
