import { closeSync, constants } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import type { Digest } from '../../../oci/index.ts';
import { Growth } from '../growth.ts';
import type { AppendOptions, WriteSession } from '../types.ts';
import type { WriteBudget } from '../write-budget.ts';
import type { BlobFolders } from './blob-folders.ts';
import { openFile, removeFile, syncData, writeVector } from './files.ts';
import { PendingWrites } from './pending-writes.ts';

// A large upload goes to disk while it arrives; otherwise its end would wait for all of it, and memory fill with it.
const flushBytes = 64 * 1024 * 1024;
const followBytes = 256 * 1024;
// Of an upload that ends before so much has come, nothing is there to be resumed but what its client still has: its note is
// three calls and two changes of a folder that it can do without.
const noteAfterBytes = 1024 * 1024;

/** Where one upload lives, and where its blob goes. */
export interface UploadPaths {
  readonly data: string;
  readonly note: string;
  readonly blob: (digest: Digest) => string;
}

/** What sessions of one storage share. */
export interface SessionParts {
  readonly folders: BlobFolders;
  readonly budget: WriteBudget;
}

/** An upload as a file that grows; see {@link WriteSession}. */
export class FileWriteSession implements WriteSession {
  readonly id: string;
  readonly note: string;
  readonly #paths: UploadPaths;
  readonly #parts: SessionParts;
  #offset: number;
  #file: number | undefined;
  /** Whether a note that there is still has to be written. */
  #noteIsDue: boolean;
  #flushedTo = 0;
  #flushing: Promise<void> | undefined;
  #flushFailure: { readonly error: unknown } | undefined;
  readonly #growth = new Growth();
  #dropped = false;

  /** @param resumed its offset, and that its note is there */
  constructor(
    id: string,
    note: string,
    paths: UploadPaths,
    parts: SessionParts,
    resumed?: { readonly offset: number },
  ) {
    this.id = id;
    this.note = note;
    this.#paths = paths;
    this.#parts = parts;
    this.#offset = resumed?.offset ?? 0;
    this.#noteIsDue = note !== '' && !resumed;
  }

  get offset(): number {
    return this.#offset;
  }

  async append(chunks: AsyncIterable<Uint8Array>, { release }: AppendOptions = {}): Promise<void> {
    const { budget } = this.#parts;
    using _writer = budget.enter();
    const file = await this.#open();
    const pending = new PendingWrites({
      write: (batch) => this.#writeAll(file, batch),
      share: () => budget.shareBytes(),
      release,
    });
    try {
      for await (const chunk of chunks) await pending.add(chunk);
    } finally {
      await pending.flush();
    }
  }

  async *read(): AsyncIterable<Uint8Array> {
    if (this.#offset === 0) return;
    await using file = await open(this.#paths.data, constants.O_RDONLY | constants.O_NOFOLLOW);
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
    await syncData(file);
    const noted = this.note !== '' && !this.#noteIsDue;
    this.#noteIsDue = false;
    await this.close();
    await this.#parts.folders.moveIn(this.#paths.data, this.#paths.blob(digest));
    this.#growth.end();
    if (noted) await removeFile(this.#paths.note);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await this.#flushing;
    if (file !== undefined) closeSync(file);
    await this.#writeNote();
  }

  async abort(): Promise<void> {
    this.#dropped = true;
    this.#growth.end();
    this.#noteIsDue = false;
    await this.close();
    // The data first: a note without data is an upload at offset 0, data without a note is reclaimed at start.
    await removeFile(this.#paths.data);
    await removeFile(this.#paths.note);
  }

  async #open(): Promise<number> {
    this.#file ??= await openFile(
      this.#paths.data,
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o640,
    );
    return this.#file;
  }

  async #writeNote(): Promise<void> {
    if (!this.#noteIsDue) return;
    await writeFile(this.#paths.note, this.note, { flag: 'wx', mode: 0o640 });
    this.#noteIsDue = false;
  }

  async #writeAll(file: number, batch: readonly Uint8Array[]): Promise<void> {
    await this.#writeBatch(file, batch);
    this.#growth.grew();
    if (this.#offset > noteAfterBytes) await this.#writeNote();
    if (this.#offset - this.#flushedTo < flushBytes || this.#flushing) return;
    this.#flushedTo = this.#offset;
    this.#flushing = syncData(file)
      // Linux reports a failed write-back to one fsync only: what this one is told, the commit must know.
      .catch((error: unknown) => {
        this.#flushFailure = { error };
      })
      .finally(() => {
        this.#flushing = undefined;
      });
  }

  async #writeBatch(file: number, batch: readonly Uint8Array[]): Promise<void> {
    let rest = batch;
    for (;;) {
      let total = 0;
      for (const chunk of rest) total += chunk.length;
      const { bytesWritten } = await writeVector(file, rest, this.#offset);
      this.#offset += bytesWritten;
      if (bytesWritten === total) return;
      // A short write is rare (a signal, a nearly full disk): go on with the rest, which then fails with the reason.
      rest = [Buffer.concat(rest).subarray(bytesWritten)];
    }
  }
}
