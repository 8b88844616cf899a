import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, opendir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { VarveError } from '../../../base/index.ts';
import type { ByteRange } from '../../../content/index.ts';
import { type Digest, digestAlgorithm, digestHex, digestOf, isDigest } from '../../../oci/index.ts';
import type { OpenBlob, RegistryStorage, StoredBlob, StoredUpload, WriteSession } from '../types.ts';
import { WriteBudget, type WriteSizes } from '../write-budget.ts';
import { BlobFile } from './blob-file.ts';
import { BlobFolders } from './blob-folders.ts';
import { syncFolder } from './files.ts';
import { FileWriteSession, type SessionParts, type UploadPaths } from './write-session.ts';

const uploadId = /^[0-9a-zA-Z-]{1,64}$/;
const recordFile = /^[0-9a-f]{64}$/;
const readChunkBytes = 256 * 1024;

/** A blob of 1 MiB is one write among eight; 64 uploads gather 256 KiB each, and have as much on its way to the disk. */
const defaultWriteSizes: WriteSizes = {
  largestBytes: 1024 * 1024,
  smallestBytes: 64 * 1024,
  budgetBytes: 32 * 1024 * 1024,
};

/**
 * Blobs as files of one folder on a local file system:
 * ```
 * blobs/<algorithm>/<first two digits>/<hex>    whole and durable, or absent
 * uploads/<id>                                  bytes so far
 * uploads/<id>.note                             what a resumable upload belongs to, once it is worth resuming
 * records/<first two digits>/<sha256 of the name>
 * ```
 */
export class FilesystemStorage implements RegistryStorage {
  readonly name = 'filesystem';
  readonly shared = false;
  readonly #root: string;
  readonly #parts: SessionParts;

  private constructor(root: string, sizes: WriteSizes) {
    this.#root = root;
    this.#parts = { folders: new BlobFolders(), budget: new WriteBudget(sizes) };
  }

  /** @param root created when missing, with mode 0750. */
  static async open(root: string, sizes: Partial<WriteSizes> = {}): Promise<FilesystemStorage> {
    for (const folder of ['blobs', 'uploads']) {
      await mkdir(join(root, folder), { recursive: true, mode: 0o750 });
    }
    await syncFolder(root);
    return new FilesystemStorage(root, { ...defaultWriteSizes, ...sizes });
  }

  async stat(digest: Digest): Promise<StoredBlob | undefined> {
    const info = await orAbsent(stat(this.#blobPath(digest)));
    return info?.isFile() ? { digest, size: info.size, storedAt: info.mtimeMs } : undefined;
  }

  async read(digest: Digest, range: ByteRange = {}): Promise<Readable> {
    const file = await orAbsent(open(this.#blobPath(digest), constants.O_RDONLY | constants.O_NOFOLLOW));
    if (!file) throw noBlob(digest);
    return file.createReadStream({
      start: range.start ?? 0,
      ...(range.end === undefined ? {} : { end: range.end - 1 }),
      highWaterMark: readChunkBytes,
    });
  }

  async open(digest: Digest): Promise<OpenBlob> {
    const file = await orAbsent(BlobFile.open(this.#blobPath(digest)));
    if (!file) throw noBlob(digest);
    return file;
  }

  async create(id: string, note = ''): Promise<WriteSession> {
    return new FileWriteSession(id, note, this.#uploadPaths(id), this.#parts);
  }

  async resume(id: string): Promise<WriteSession | undefined> {
    if (!uploadId.test(id)) return undefined;
    const paths = this.#uploadPaths(id);
    const note = await orAbsent(readFile(paths.note, 'utf8'));
    if (!note) return undefined;
    const data = await orAbsent(stat(paths.data));
    return new FileWriteSession(id, note, paths, this.#parts, { offset: data?.size ?? 0 });
  }

  async *uploads(): AsyncIterable<StoredUpload> {
    const found = new Map<string, { updatedAt: number; resumable: boolean }>();
    const folder = join(this.#root, 'uploads');
    for await (const { name } of await opendir(folder)) {
      const isNote = name.endsWith('.note');
      const id = isNote ? name.slice(0, -'.note'.length) : name;
      const info = await orAbsent(stat(join(folder, name)));
      if (!info || !uploadId.test(id)) continue;
      const upload = found.get(id) ?? { updatedAt: 0, resumable: false };
      upload.updatedAt = Math.max(upload.updatedAt, info.mtimeMs);
      upload.resumable ||= isNote;
      found.set(id, upload);
    }
    for (const [id, upload] of found) yield { id, ...upload };
  }

  async abandon(id: string): Promise<void> {
    await new FileWriteSession(id, '', this.#uploadPaths(id), this.#parts).abort();
  }

  async delete(digest: Digest): Promise<boolean> {
    const path = this.#blobPath(digest);
    if (!(await orAbsent(stat(path)))) return false;
    await rm(path, { force: true });
    return true;
  }

  async *list(): AsyncIterable<StoredBlob> {
    for (const algorithm of ['sha256', 'sha512']) {
      const folder = join(this.#root, 'blobs', algorithm);
      const shards = await orAbsent(opendir(folder));
      if (!shards) continue;
      for await (const shard of shards) {
        for await (const entry of await opendir(join(folder, shard.name))) {
          const digest = `${algorithm}:${entry.name}`;
          const blob = isDigest(digest) ? await this.stat(digest) : undefined;
          if (blob) yield blob;
        }
      }
    }
  }

  async writeRecord(name: string, bytes: Uint8Array): Promise<void> {
    const path = await this.#recordPath(name, true);
    const temporary = `${path}.${randomUUID()}`;
    try {
      await writeFile(temporary, bytes, { flag: 'wx', mode: 0o640, flush: true });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncFolder(dirname(path));
  }

  async removeRecord(name: string): Promise<void> {
    await rm(await this.#recordPath(name, false), { force: true });
  }

  async *records(): AsyncIterable<Uint8Array> {
    const folder = join(this.#root, 'records');
    for (const shard of (await orAbsent(readdir(folder))) ?? []) {
      for (const entry of (await orAbsent(readdir(join(folder, shard)))) ?? []) {
        // Not one that a crash left half written beside its name.
        if (!recordFile.test(entry)) continue;
        const bytes = await orAbsent(readFile(join(folder, shard, entry)));
        if (bytes) yield bytes;
      }
    }
  }

  async close(): Promise<void> {
    await this.#parts.folders.close();
  }

  #blobPath(digest: Digest): string {
    if (!isDigest(digest)) throw new VarveError('invalid', 'DIGEST_INVALID', 'invalid digest');
    const hex = digestHex(digest);
    return join(this.#root, 'blobs', digestAlgorithm(digest), hex.slice(0, 2), hex);
  }

  async #recordPath(name: string, make: boolean): Promise<string> {
    const hex = digestHex(digestOf(name));
    const folder = join(this.#root, 'records', hex.slice(0, 2));
    if (make) await mkdir(folder, { recursive: true, mode: 0o750 });
    return join(folder, hex);
  }

  #uploadPaths(id: string): UploadPaths {
    if (!uploadId.test(id)) throw new VarveError('invalid', 'BLOB_UPLOAD_INVALID', 'invalid upload id');
    const data = join(this.#root, 'uploads', id);
    return { data, note: `${data}.note`, blob: (digest) => this.#blobPath(digest) };
  }
}

function noBlob(digest: Digest): VarveError {
  return new VarveError('not-found', 'BLOB_UNKNOWN', `no blob ${digest}`, { subject: digest });
}

async function orAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
