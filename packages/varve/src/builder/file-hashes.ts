import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, openSync, readSync } from 'node:fs';
import { fileIdentity } from '../layer/index.ts';
import type { State } from '../state/index.ts';
import { bytes, type RawPath } from './raw-path.ts';

const chunk = Buffer.allocUnsafe(1 << 20);
/** Bytes after which a long hash lets other work run; 64 MiB are about 40 ms. */
const breather = 64 << 20;
/**
 * A file changed less long ago is hashed again: it could change once more within the clock's granularity, and the
 * files of a context that was just unpacked will never be seen again.
 */
const settledMs = 10_000;

/**
 * SHA-256 of files' contents, remembered by {@link fileIdentity}: a file that nobody wrote to is not read twice, over
 * restarts too.
 */
export class FileHashes {
  readonly #state: State;
  readonly #known: ReadonlyMap<string, string>;
  readonly #fresh = new Map<string, string>();

  /** @param known hashes that whoever wrote the files gives. */
  constructor(state: State, known: ReadonlyMap<string, string> = new Map()) {
    this.#state = state;
    this.#known = known;
  }

  /** Hex digest of a regular file's content. */
  async hash(path: RawPath, stat: BigIntStats): Promise<string> {
    const identity = fileIdentity(stat);
    const known =
      this.#known.get(identity) ??
      this.#state.prepare('SELECT sha256 FROM builder_file_hashes WHERE identity = ?').get(identity)?.[
        'sha256'
      ];
    if (typeof known === 'string') return known;
    const digest = await hashFile(path);
    if (Date.now() - Number(stat.ctimeMs) > settledMs) this.#fresh.set(identity, digest);
    return digest;
  }

  /** Writes down what was hashed since the last call. Losing it costs a second reading, so nothing waits for the disk. */
  save(): void {
    if (this.#fresh.size === 0) return;
    this.#state.transaction(
      () => {
        const insert = this.#state.prepare(
          'INSERT OR REPLACE INTO builder_file_hashes (identity, sha256, seen_at) VALUES (?, ?, ?)',
        );
        for (const [identity, sha256] of this.#fresh) insert.run(identity, sha256, Date.now());
      },
      { durable: false },
    );
    this.#fresh.clear();
  }

  /** Forgets what was stored before `time` (milliseconds since 1970). */
  prune(time: number): void {
    this.#state.prepare('DELETE FROM builder_file_hashes WHERE seen_at < ?').run(time);
  }
}

/**
 * Reads every file, and remembers nothing: for trees of layers. There a file's ctime is what its archive says, or it is on a
 * device whose number another mount had before, so that two different files can have one {@link fileIdentity}.
 */
export const hashesAnew: Pick<FileHashes, 'hash'> = { hash: (path) => hashFile(path) };

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
