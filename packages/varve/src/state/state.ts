import { closeSync, fdatasync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { backup, DatabaseSync, type StatementSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { syncFolder, VarveError } from '../base/index.ts';

/**
 * A room's part of the database: statements that bring it from version n to n+1, oldest first. Never edit one that
 * has shipped; append. Tables carry the room's name as a prefix (`content_blobs`).
 */
export interface Schema {
  readonly room: string;
  readonly migrations: readonly string[];
}

const syncData = promisify(fdatasync);

/**
 * The record store: one SQLite file (WAL, full sync), one writing process. A commit that returned is durable.
 * Records are written after the bytes they speak of (DESIGN section 4).
 */
export class State implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #path: string;
  #log: number | undefined;
  #syncs = 0;
  #depth = 0;
  #open = true;

  /** @param path file, created with its folder when missing; `:memory:` for tests. */
  constructor(path: string) {
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o710 });
    this.#path = path;
    this.#database = new DatabaseSync(path);
    this.#database.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;',
    );
    this.#database.exec(
      'CREATE TABLE IF NOT EXISTS state_schemas (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT',
    );
  }

  /**
   * Brings a room's tables up to date, in one transaction.
   * @throws VarveError `unavailable` when a newer Varve wrote the file.
   */
  migrate(schema: Schema): void {
    this.transaction(() => {
      const row = this.prepare('SELECT version FROM state_schemas WHERE room = ?').get(schema.room);
      const version = Number(row?.['version'] ?? 0);
      if (version > schema.migrations.length) {
        throw new VarveError(
          'unavailable',
          'STATE_TOO_NEW',
          `the records of ${schema.room} have version ${version}, this Varve knows ${schema.migrations.length}`,
          { hint: 'use the Varve that wrote this data root, or a newer one' },
        );
      }
      for (const sql of schema.migrations.slice(version)) this.#database.exec(sql);
      this.prepare('INSERT OR REPLACE INTO state_schemas (room, version) VALUES (?, ?)').run(
        schema.room,
        schema.migrations.length,
      );
    });
  }

  /** A prepared statement, kept for the next call with the same text. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /**
   * Runs `work` all or nothing; a nested call joins the outer transaction. `work` must be synchronous.
   * @param options.durable false lets a commit return before it is on disk (no fsync of the WAL, sqlite.org/wal.html):
   * it survives the end of the process, not a loss of power. The next durable commit brings it to disk as well.
   */
  transaction<T>(work: () => T, options: { readonly durable?: boolean } = {}): T {
    if (this.#depth > 0) return work();
    const relaxed = options.durable === false;
    if (relaxed) this.#database.exec('PRAGMA synchronous = NORMAL');
    try {
      return this.#transact(work);
    } finally {
      if (relaxed) this.#database.exec('PRAGMA synchronous = FULL');
    }
  }

  /** Brings commits that were not durable to disk (sqlite.org/pragma.html#pragma_wal_checkpoint syncs the WAL first). */
  flush(): void {
    this.#database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  }

  /**
   * Brings the commits made so far that were not durable to disk, on another thread: this one works on. SQLite locks the
   * database and its index, never the log, so that a descriptor of our own takes no lock away (sqlite.org/lockingv3.html).
   * @throws what fdatasync(2) says; whether those commits outlive a loss of power is then not known
   */
  async sync(): Promise<void> {
    if (this.#path === ':memory:') return;
    this.#log ??= openSync(`${this.#path}-wal`, 'r');
    this.#syncs++;
    try {
      await syncData(this.#log);
    } finally {
      this.#syncs--;
      if (!this.#open) this.#closeLog();
    }
  }

  /** Rows changed since the opening: tells whether a copy is still the newest. */
  get changes(): number {
    return Number(this.prepare('SELECT total_changes() AS count').get()?.['count'] ?? 0);
  }

  /** Writes a copy, whole or not at all, while work goes on (sqlite.org/backup.html). */
  async backup(path: string): Promise<void> {
    const temporary = `${path}.new`;
    rmSync(temporary, { force: true });
    await backup(this.#database, temporary);
    await using file = await open(temporary, 'r+');
    await file.sync();
    renameSync(temporary, path);
    syncFolder(dirname(path));
  }

  #transact<T>(work: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    this.#depth++;
    try {
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      // SQLite has rolled back by itself after some failures (a full disk, an I/O error at COMMIT).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    } finally {
      this.#depth--;
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#statements.clear();
    this.#database.close();
    this.#closeLog();
  }

  /** Not while a thread uses it: its number could by then be another file's. */
  #closeLog(): void {
    if (this.#log === undefined || this.#syncs > 0) return;
    closeSync(this.#log);
    this.#log = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
