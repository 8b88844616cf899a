/**
 * A storage backend of one's own: the registry's blobs in one SQLite file.
 *
 *   storage:
 *     module: ./examples/storage-backend/sqlite-backend.mjs
 *     options: { file: /srv/registry/blobs.db }
 *
 * It is an object store: seven methods over whole objects. The registry does the rest.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { DatabaseSync } from 'node:sqlite';

/** Bytes read at once: a range of a large object is never in memory whole. */
const pieceBytes = 256 * 1024;

/** Pieces are named by what they hold, so no object of the same key gets between them. */
function* pieces(database, etag, start, end) {
  const select = database.prepare('SELECT bytes FROM pieces WHERE etag = ? AND number = ?');
  for (let at = start; at < end; ) {
    const number = Math.floor(at / pieceBytes);
    const from = at - number * pieceBytes;
    const piece = Buffer.from(select.get(etag, number).bytes).subarray(from, from + end - at);
    at += piece.length;
    yield piece;
  }
}

class SqliteStore {
  name = 'sqlite';
  /** As many as a commit may bring: they are joined in the database. */
  maxSources = 1000;
  maxSourceBytes = 1024 ** 3;
  #database;
  #file;
  #notFound;

  constructor(file, notFound) {
    this.#file = file;
    this.#database = new DatabaseSync(file);
    this.#notFound = notFound;
    this.#database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;
      CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, size INTEGER NOT NULL, time INTEGER NOT NULL, etag TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS pieces (etag TEXT NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (etag, number));`);
  }

  async stat(key) {
    const row = this.#database.prepare('SELECT size, time, etag FROM objects WHERE key = ?').get(key);
    return row && { key, size: row.size, modifiedAt: row.time, etag: row.etag };
  }

  async read(key, { start = 0, end } = {}) {
    // A transaction of its own: it sees the object to the end, though that be removed meanwhile.
    const database = new DatabaseSync(this.#file, { readOnly: true });
    database.exec('BEGIN');
    const found = database.prepare('SELECT size, etag FROM objects WHERE key = ?').get(key);
    if (!found) {
      database.close();
      throw this.#notFound(`no object ${key}`);
    }
    const bytes = pieces(database, found.etag, start, Math.min(end ?? found.size, found.size));
    return Readable.from(bytes, { objectMode: false }).once('close', () => database.close());
  }

  async put(key, bytes) {
    const etag = createHash('sha256').update(bytes).digest('hex');
    this.#transaction(() => this.#write(key, etag, [Buffer.from(bytes)]));
    return { etag };
  }

  async assemble(sources, target) {
    const name = createHash('sha256');
    for (const { etag } of sources) name.update(etag);
    const etag = `joined-${name.digest('hex')}`;
    this.#transaction(() => {
      for (const { key, etag: wanted } of sources) {
        const row = this.#database.prepare('SELECT etag FROM objects WHERE key = ?').get(key);
        if (row?.etag !== wanted) throw this.#notFound(`${key} is not what it was`);
      }
      const self = this;
      this.#write(
        target,
        etag,
        (function* () {
          for (const source of sources) yield* pieces(self.#database, source.etag, 0, source.size);
        })(),
      );
    });
  }

  #write(key, etag, buffers) {
    const insert = this.#database.prepare('INSERT OR REPLACE INTO pieces VALUES (?, ?, ?)');
    let [size, number, rest] = [0, 0, Buffer.alloc(0)];
    for (const buffer of buffers) {
      size += buffer.length;
      rest = rest.length === 0 ? buffer : Buffer.concat([rest, buffer]);
      for (; rest.length >= pieceBytes; rest = rest.subarray(pieceBytes))
        insert.run(etag, number++, rest.subarray(0, pieceBytes));
    }
    if (rest.length > 0) insert.run(etag, number, rest);
    this.#database
      .prepare('INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)')
      .run(key, size, Date.now(), etag);
  }

  async remove(keys) {
    this.#transaction(() => {
      for (const key of keys) {
        const row = this.#database.prepare('DELETE FROM objects WHERE key = ? RETURNING etag').get(key);
        if (!row || this.#database.prepare('SELECT 1 FROM objects WHERE etag = ?').get(row.etag)) continue;
        this.#database.prepare('DELETE FROM pieces WHERE etag = ?').run(row.etag);
      }
    });
  }

  async *list(prefix) {
    const page = this.#database.prepare(
      'SELECT key, size, time, etag FROM objects WHERE key > ? AND key >= ? AND key < ? ORDER BY key LIMIT 100',
    );
    for (let last = ''; ; ) {
      const rows = page.all(last, prefix, `${prefix}\u{10ffff}`);
      for (const { key, size, time, etag } of rows) yield { key, size, modifiedAt: time, etag };
      if (rows.length < 100) return;
      last = rows.at(-1).key;
    }
  }

  async close() {
    this.#database.close();
  }

  #transaction(work) {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

/** What the registry calls. `options` is the block of that name; `kit` brings what a backend needs. */
export function openStorage(options, kit) {
  if (typeof options.file !== 'string') throw new Error('storage.options.file is missing');
  return kit.objectStorage(new SqliteStore(options.file, kit.notFound));
}
