import { createHash, type Hash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { Transform, type TransformCallback } from 'node:stream';
import { VarveError } from '../base/index.ts';
import type { Digest } from '../oci/index.ts';

/** Bytes read or written at once: large enough that the thread pool's hand-over costs little beside the hashing. */
export const chunkSize = 1024 * 1024;

/** Makes entries of a folder durable (fsync(2) of the folder), off the main thread. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Feeds a whole file to a hash; returns its size. */
export async function hashInto(hash: Hash, path: string, signal?: AbortSignal): Promise<number> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(chunkSize);
    let position = 0;
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return position;
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** Digest and size of a file. */
export async function hashFile(
  path: string,
  algorithm: 'sha256' | 'sha512',
  signal?: AbortSignal,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const hash = createHash(algorithm);
  const size = await hashInto(hash, path, signal);
  return { digest: `${algorithm}:${hash.digest('hex')}` as Digest, size };
}

/** Removes a file or folder of ours that may be gone already. */
export async function removeQuietly(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** What is thrown when stored bytes are not what their name says. */
export function corruptBlob(digest: Digest, why: string): VarveError {
  return new VarveError('data-loss', 'BLOB_CORRUPT', `blob ${digest} is damaged: ${why}`, {
    subject: digest,
    hint: 'pull or build the image again; `varve system check` looks for further damage',
  });
}

/** Passes bytes on and fails at the end when they do not hash to `digest`; `onCorrupt` is called first. */
export class VerifyStream extends Transform {
  readonly #digest: Digest;
  readonly #size: number;
  readonly #hash: Hash;
  readonly #onCorrupt: () => void;
  #seen = 0;

  constructor(digest: Digest, size: number, onCorrupt: () => void) {
    super({ highWaterMark: chunkSize });
    this.#digest = digest;
    this.#size = size;
    this.#hash = createHash(digest.slice(0, digest.indexOf(':')));
    this.#onCorrupt = onCorrupt;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk);
    this.#seen += chunk.length;
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    const found = this.#hash.digest('hex');
    if (this.#seen === this.#size && this.#digest.endsWith(`:${found}`)) {
      done();
      return;
    }
    this.#onCorrupt();
    done(corruptBlob(this.#digest, `its ${this.#seen} bytes hash to ${found}`));
  }
}
