import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, openSync, readSync } from 'node:fs';
import type { State } from '../state/index.ts';
import { bytes, type RawPath } from './raw-path.ts';

const chunk = Buffer.allocUnsafe(1 << 20);
/** Bytes after which a long hash lets other work run; 64 MiB are about 40 ms. */
const breather = 64 << 20;
/** A file changed less long ago could change again within the clock's granularity and look the same. */
const settledMs = 50;

/**
 * SHA-256 of files' contents, remembered by (device, inode, size, mtime, ctime): a file that nobody wrote to is not
 * read twice, over restarts too. ctime cannot be set by a program, so a change under a kept mtime is seen.
 */
export class FileHashes {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  /** Hex digest of a regular file's content. */
  async hash(path: RawPath, stat: BigIntStats): Promise<string> {
    const identity = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    const known = this.#state
      .prepare('SELECT sha256 FROM builder_file_hashes WHERE identity = ?')
      .get(identity)?.['sha256'];
    if (typeof known === 'string') return known;
    const digest = await hashFile(path);
    if (Date.now() - Number(stat.ctimeMs) > settledMs) this.remember(identity, digest);
    return digest;
  }

  remember(identity: string, sha256: string): void {
    this.#state
      .prepare('INSERT OR REPLACE INTO builder_file_hashes (identity, sha256, seen_at) VALUES (?, ?, ?)')
      .run(identity, sha256, Date.now());
  }

  /** Forgets what was stored before `time` (milliseconds since 1970). */
  prune(time: number): void {
    this.#state.prepare('DELETE FROM builder_file_hashes WHERE seen_at < ?').run(time);
  }
}

async function hashFile(path: RawPath): Promise<string> {
  const hash = createHash('sha256');
  const fd = openSync(bytes(path), 'r');
  try {
    let since = 0;
    for (;;) {
      const length = readSync(fd, chunk, 0, chunk.length, null);
      if (length === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, length));
      since += length;
      if (since >= breather) {
        since = 0;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  } finally {
    closeSync(fd);
  }
}
