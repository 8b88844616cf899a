import type { Digest } from '../oci/index.ts';
import type { State } from '../state/index.ts';
import { contentSchema } from './schema.ts';
import type { BlobInfo } from './types.ts';

const pageSize = 500;

function toInfo(row: Record<string, unknown>): BlobInfo {
  return { digest: row['digest'] as Digest, size: Number(row['size']) };
}

/** The rows of `content_blobs`. */
export class BlobRecords {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
    state.migrate(contentSchema);
  }

  get(digest: Digest): BlobInfo | undefined {
    const row = this.#state.prepare('SELECT digest, size FROM content_blobs WHERE digest = ?').get(digest);
    return row === undefined ? undefined : toInfo(row);
  }

  /**
   * Not durable by itself: the record that names the blob comes later and takes this one along to the disk, and a file
   * whose record was lost is taken up again at the next opening.
   */
  put(blob: BlobInfo): void {
    const put = this.#state.prepare('INSERT OR REPLACE INTO content_blobs (digest, size) VALUES (?, ?)');
    this.#state.transaction(() => put.run(blob.digest, blob.size), { durable: false });
  }

  /** Forgets blobs, all in one transaction. */
  remove(digests: readonly Digest[]): void {
    this.#state.transaction(() => {
      for (const digest of digests) {
        this.#state.prepare('DELETE FROM content_blobs WHERE digest = ?').run(digest);
      }
    });
  }

  /** All rows by digest, read in pages so that the table may change meanwhile. */
  *all(): Generator<BlobInfo, void, void> {
    const query = 'SELECT digest, size FROM content_blobs WHERE digest > ? ORDER BY digest LIMIT ?';
    let last = '';
    for (;;) {
      const page = this.#state.prepare(query).all(last, pageSize).map(toInfo);
      yield* page;
      if (page.length < pageSize) return;
      last = page.at(-1)?.digest ?? '';
    }
  }
}
