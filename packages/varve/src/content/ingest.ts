import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { VarveError } from '../base/index.ts';
import { type Digest, digestAlgorithm } from '../oci/index.ts';
import { chunkSize, hashFile } from './files.ts';
import type { BlobInfo, Ingest } from './types.ts';

/** What is known of a blob before it is written. */
export interface ExpectedBlob {
  readonly digest?: Digest;
  readonly size?: number;
}

/** What a {@link FileIngest} needs from its store. */
export interface IngestHost {
  /** Renames the data file (synced, verified) to its final name and records it. */
  readonly publish: (path: string, blob: BlobInfo) => Promise<void>;
  /** Lets the next writer of the key in; `keep` leaves the bytes for it. Called once. */
  readonly release: (keep: boolean) => Promise<void>;
}

function mismatch(code: 'DIGEST_MISMATCH' | 'SIZE_MISMATCH', message: string, subject?: string): VarveError {
  return new VarveError('data-loss', code, message, subject === undefined ? {} : { subject });
}

/** The writer of one open ingest: hashes as it writes, joins small chunks into large writes. */
export class FileIngest implements Ingest {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #host: IngestHost;
  readonly #expected: ExpectedBlob;
  readonly #algorithm: 'sha256' | 'sha512';
  readonly #buffer = Buffer.allocUnsafe(chunkSize);
  #buffered = 0;
  #written: number;
  #hash: Hash;
  #open = true;
  #failure: VarveError | undefined;

  /** @param hash has seen the file's first `written` bytes. */
  constructor(
    path: string,
    file: FileHandle,
    host: IngestHost,
    expected: ExpectedBlob,
    hash: Hash,
    written: number,
  ) {
    this.#path = path;
    this.#file = file;
    this.#host = host;
    this.#expected = expected;
    this.#algorithm = expected.digest === undefined ? 'sha256' : digestAlgorithm(expected.digest);
    this.#hash = hash;
    this.#written = written;
  }

  get offset(): number {
    return this.#written + this.#buffered;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#assertUsable();
    const { size } = this.#expected;
    if (size !== undefined && this.offset + chunk.byteLength > size) {
      throw mismatch('SIZE_MISMATCH', `more than the ${size} bytes expected`, this.#expected.digest);
    }
    this.#hash.update(chunk);
    for (let done = 0; done < chunk.byteLength; ) {
      const part = chunk.subarray(done, done + this.#buffer.length - this.#buffered);
      this.#buffer.set(part, this.#buffered);
      this.#buffered += part.byteLength;
      done += part.byteLength;
      if (this.#buffered === this.#buffer.length) await this.#flush();
    }
  }

  async truncate(): Promise<void> {
    this.#assertUsable();
    this.#buffered = 0;
    this.#written = 0;
    this.#hash = createHash(this.#algorithm);
    await this.#file.truncate(0);
  }

  async commit(expected: ExpectedBlob = {}): Promise<BlobInfo> {
    this.#assertUsable();
    try {
      await this.#flush();
      const blob = await this.#verify({ ...this.#expected, ...expected });
      // A failed fsync leaves the pages' state unknown, so its error drops the bytes: never sync again and trust.
      await this.#file.sync();
      await this.#finish();
      await this.#host.publish(this.#path, blob);
      return blob;
    } catch (error) {
      throw VarveError.from(error);
    } finally {
      await this.#finish();
      await this.#host.release(false);
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    try {
      if (this.#failure === undefined) await this.#flush();
    } finally {
      await this.#finish();
      await this.#host.release(this.#written > 0);
    }
  }

  async abort(): Promise<void> {
    if (!this.#open) return;
    await this.#finish();
    await this.#host.release(false);
  }

  async #verify(expected: ExpectedBlob): Promise<BlobInfo> {
    const size = this.#written;
    if (expected.size !== undefined && expected.size !== size) {
      throw mismatch('SIZE_MISMATCH', `${size} bytes came, ${expected.size} were expected`, expected.digest);
    }
    const wanted = expected.digest === undefined ? this.#algorithm : digestAlgorithm(expected.digest);
    const digest =
      wanted === this.#algorithm
        ? (`${wanted}:${this.#hash.digest('hex')}` as Digest)
        : (await hashFile(this.#path, wanted)).digest;
    if (expected.digest !== undefined && expected.digest !== digest) {
      throw mismatch(
        'DIGEST_MISMATCH',
        `the bytes hash to ${digest}, not to ${expected.digest}`,
        expected.digest,
      );
    }
    return { digest, size };
  }

  async #flush(): Promise<void> {
    const end = this.#buffered;
    try {
      for (let done = 0; done < end; ) {
        const { bytesWritten } = await this.#file.write(this.#buffer, done, end - done, this.#written);
        done += bytesWritten;
        this.#written += bytesWritten;
      }
    } catch (error) {
      // The hash is ahead of the file now: only reopening, which hashes what is there, can go on.
      this.#failure = VarveError.from(error);
      throw this.#failure;
    } finally {
      this.#buffered = 0;
    }
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#open) throw new VarveError('internal', 'INGEST_CLOSED', 'the ingest is closed');
  }

  async #finish(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
  }
}
