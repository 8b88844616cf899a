import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Digest } from '../../../oci/index.ts';
import { Growth } from '../growth.ts';
import type { WriteSession } from '../types.ts';
import { PendingWrites } from './pending-writes.ts';

// A large upload goes to disk while it arrives; otherwise its end would wait for all of it, and memory fill with it.
const flushBytes = 64 * 1024 * 1024;
const followBytes = 256 * 1024;

/** Where one upload lives, and where its blob goes. */
export interface UploadPaths {
  readonly data: string;
  readonly note: string;
  readonly blob: (digest: Digest) => string;
}

/** Makes a rename or a new name in `path` survive power loss (fsync(2)). */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** An upload as a file that grows; see {@link WriteSession}. */
export class FileWriteSession implements WriteSession {
  readonly id: string;
  readonly note: string;
  readonly #paths: UploadPaths;
  #offset: number;
  #file: FileHandle | undefined;
  #flushedTo = 0;
  #flushing: Promise<void> | undefined;
  #flushFailure: { readonly error: unknown } | undefined;
  readonly #growth = new Growth();
  #dropped = false;

  constructor(id: string, note: string, paths: UploadPaths, offset: number) {
    this.id = id;
    this.note = note;
    this.#paths = paths;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  async append(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await this.#open();
    const pending = new PendingWrites((batch) => this.#writeAll(file, batch));
    try {
      for await (const chunk of chunks) await pending.add(chunk);
    } finally {
      await pending.flush();
    }
  }

  async *read(): AsyncIterable<Uint8Array> {
    const file = await this.#open();
    const buffer = Buffer.allocUnsafe(256 * 1024);
    for (let position = 0; position < this.#offset; ) {
      const { bytesRead } = await file.read(
        buffer,
        0,
        Math.min(buffer.length, this.#offset - position),
        position,
      );
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async *follow(start: number): AsyncIterable<Uint8Array> {
    // A handle of its own: it reads on after the commit, since a rename changes the name only.
    let file: FileHandle | undefined;
    try {
      for (let position = start; !this.#dropped; ) {
        const length = Math.min(followBytes, this.#offset - position);
        if (length <= 0) {
          if (this.#growth.ended) return;
          await this.#growth.next();
          continue;
        }
        file ??= await open(this.#paths.data, constants.O_RDONLY | constants.O_NOFOLLOW);
        const buffer = Buffer.allocUnsafeSlow(length);
        const { bytesRead } = await file.read(buffer, 0, length, position);
        if (bytesRead === 0) return;
        position += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } catch (error) {
      // Committed or dropped before it was opened here.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    } finally {
      await file?.close();
    }
  }

  async commit(digest: Digest): Promise<void> {
    const file = await this.#open();
    await this.#flushing;
    if (this.#flushFailure) throw this.#flushFailure.error;
    await file.datasync();
    await this.close();
    const target = this.#paths.blob(digest);
    const folder = dirname(target);
    const created = await mkdir(folder, { recursive: true });
    await rename(this.#paths.data, target);
    await syncFolder(folder);
    if (created !== undefined) {
      await syncFolder(dirname(folder));
      await syncFolder(dirname(dirname(folder)));
    }
    this.#growth.end();
    if (this.note !== '') await rm(this.#paths.note, { force: true });
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await this.#flushing;
    await file?.close();
  }

  async abort(): Promise<void> {
    this.#dropped = true;
    this.#growth.end();
    await this.close();
    // The data first: a note without data is an upload at offset 0, data without a note is reclaimed at start.
    await rm(this.#paths.data, { force: true });
    await rm(this.#paths.note, { force: true });
  }

  async #open(): Promise<FileHandle> {
    this.#file ??= await open(
      this.#paths.data,
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o640,
    );
    return this.#file;
  }

  async #writeAll(file: FileHandle, batch: readonly Uint8Array[]): Promise<void> {
    await this.#writeBatch(file, batch);
    this.#growth.grew();
    if (this.#offset - this.#flushedTo < flushBytes || this.#flushing) return;
    this.#flushedTo = this.#offset;
    this.#flushing = file
      .datasync()
      // Linux reports a failed write-back to one fsync only: what this one is told, the commit must know.
      .catch((error: unknown) => {
        this.#flushFailure = { error };
      })
      .finally(() => {
        this.#flushing = undefined;
      });
  }

  async #writeBatch(file: FileHandle, batch: readonly Uint8Array[]): Promise<void> {
    let total = 0;
    for (const chunk of batch) total += chunk.length;
    const { bytesWritten } = await file.writev(batch, this.#offset);
    this.#offset += bytesWritten;
    if (bytesWritten === total) return;
    // A short write is rare (a signal, a nearly full disk): go on with the rest, which then fails with the reason.
    let rest = Buffer.concat(batch).subarray(bytesWritten);
    while (rest.length > 0) {
      const written = await file.write(rest, 0, rest.length, this.#offset);
      this.#offset += written.bytesWritten;
      rest = rest.subarray(written.bytesWritten);
    }
  }
}
