import { createDigester, type Digest, type Digester, digestAlgorithm } from '../../oci/index.ts';
import type { WriteSession } from '../storage/index.ts';

export type DigestAlgorithm = 'sha256' | 'sha512';

/**
 * The hash of an upload as it streams. It knows how many bytes it has seen; when that is not what the session holds
 * (a restart, a failed write, another algorithm asked for at the end) it reads the session again.
 *
 * Hashing stays on the event loop: with SHA-NI, OpenSSL does 1.8 GB/s on one core here, 36 µs for a 64 KiB chunk from a
 * socket. Handing a chunk to a worker costs this thread a quarter of that, and the whole machine more: it pays only
 * where cores are idle while this loop is not.
 */
export class RunningHash {
  #algorithm: DigestAlgorithm;
  #digester: Digester;
  #seen = 0;

  constructor(algorithm: DigestAlgorithm = 'sha256') {
    this.#algorithm = algorithm;
    this.#digester = createDigester(algorithm);
  }

  /** Passes chunks on, hashed. */
  async *through(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of chunks) {
      this.#update(chunk);
      yield chunk;
    }
  }

  /** Makes the hash that of the session's bytes. */
  async catchUp(session: WriteSession): Promise<void> {
    if (this.#seen === session.offset) return;
    this.#restart(this.#algorithm);
    for await (const chunk of session.read()) this.#update(chunk);
  }

  /** True when the session's bytes are `digest`. Ends the hash. */
  async matches(session: WriteSession, digest: Digest): Promise<boolean> {
    const algorithm = digestAlgorithm(digest);
    if (algorithm !== this.#algorithm) this.#restart(algorithm);
    await this.catchUp(session);
    return this.#seen === session.offset && this.#digester.digest() === digest;
  }

  #update(chunk: Uint8Array): void {
    this.#digester.update(chunk);
    this.#seen += chunk.length;
  }

  #restart(algorithm: DigestAlgorithm): void {
    this.#algorithm = algorithm;
    this.#digester = createDigester(algorithm);
    this.#seen = 0;
  }
}
