import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { VarveError } from '../../base/index.ts';
import type { ChainID } from '../../oci/index.ts';
import { imagePaths } from '../quota/index.ts';
import { deleteInBackground } from '../worker/jobs.ts';
import { formatRecord, parseRecord, recordFile, type SnapshotRecord } from './record.ts';

/** A snapshot on disk: its record and the folder that holds it. */
export interface Snapshot extends SnapshotRecord {
  /** Name of the folder: 64 hex digits that mean nothing. */
  readonly id: string;
  readonly path: string;
  /** Folder of what the driver keeps of it: the path itself, or the root of the image that limits its size. */
  readonly own: string;
}

/** A folder being filled, that nobody sees before {@link SnapshotTree.publish}. */
export interface Staging {
  readonly id: string;
  readonly path: string;
  /** As a snapshot's. */
  readonly own: string;
}

const idPattern = /^[0-9a-f]{64}$/;

/**
 * The snapshots of one driver under one folder:
 *
 *     <folder>/<id>/snapshot.json   the record, beside whatever the driver keeps
 *     <folder>/staging/<id>/        being made; renaming it up is the moment it exists
 *     <folder>/trash/<id>/          removed; being deleted
 *
 * All records are read at start, so that look-ups never touch the disk. One process writes.
 */
export class SnapshotTree {
  readonly #folder: string;
  readonly #byKey = new Map<string, Snapshot>();
  readonly #byId = new Map<string, Snapshot>();
  readonly #children = new Map<ChainID, Set<string>>();
  readonly #unreadable: string[] = [];
  readonly #stagings = new Set<string>();
  readonly #deletions = new Set<Promise<void>>();
  readonly #release: (path: string) => Promise<void>;
  /** Removed folders that could not be deleted yet. */
  readonly #undeleted = new Set<string>();
  #ready = false;

  /**
   * Reads what is there; makes nothing before the first snapshot is made.
   * @param release called with each removed folder before its files are deleted.
   */
  constructor(folder: string, release: (path: string) => Promise<void> = async () => undefined) {
    this.#release = release;
    this.#folder = existsSync(folder) ? realpathSync(folder) : folder;
    for (const id of holdings(this.#folder)) {
      const path = join(this.#folder, id);
      const record = readRecord(path);
      if (record) this.#add(snapshotOf(record, id, path));
      else this.#unreadable.push(id);
    }
  }

  get folder(): string {
    return this.#folder;
  }

  /** Makes the folders. The snapshots' own are closed to other users: a setuid file in a layer must not be reachable. */
  prepareFolders(): void {
    if (this.#ready) return;
    mkdirSync(this.#folder, { recursive: true, mode: 0o710 });
    for (const name of ['staging', 'trash']) {
      mkdirSync(join(this.#folder, name), { recursive: true, mode: 0o700 });
    }
    this.#ready = true;
  }

  get(key: string): Snapshot | undefined {
    return this.#byKey.get(key);
  }

  /** @throws VarveError `not-found` */
  require(key: string): Snapshot {
    const snapshot = this.#byKey.get(key);
    if (!snapshot) throw noSuchSnapshot(key);
    return snapshot;
  }

  byId(id: string): Snapshot | undefined {
    return this.#byId.get(id);
  }

  values(): IterableIterator<Snapshot> {
    return this.#byKey.values();
  }

  /** Keys of the snapshots directly on top of a committed one. */
  children(key: string): readonly string[] {
    return [...(this.#children.get(key as ChainID) ?? [])];
  }

  /**
   * The committed snapshots from `top` down to the bottom one.
   * @throws VarveError `not-found` naming the first one that is not there.
   */
  chain(top: ChainID | undefined): Snapshot[] {
    const result: Snapshot[] = [];
    for (let key = top; key !== undefined; ) {
      const snapshot: Snapshot | undefined = this.#byKey.get(key);
      if (snapshot?.kind !== 'committed') throw noSuchSnapshot(key);
      result.push(snapshot);
      key = snapshot.parent;
    }
    return result;
  }

  /** True when all snapshots from `top` down are there. */
  isWhole(top: ChainID | undefined): boolean {
    let key = top;
    while (key !== undefined) {
      const snapshot: Snapshot | undefined = this.#byKey.get(key);
      if (snapshot?.kind !== 'committed') return false;
      key = snapshot.parent;
    }
    return true;
  }

  /** An empty folder to fill. */
  stage(): Staging {
    this.prepareFolders();
    const id = randomBytes(32).toString('hex');
    const path = join(this.#folder, 'staging', id);
    mkdirSync(path, { mode: 0o710 });
    this.#stagings.add(id);
    return { id, path, own: path };
  }

  /** Writes the record into a staging folder, durably; the folder's other content is the caller's to sync. */
  async publish(staging: Staging, record: SnapshotRecord): Promise<Snapshot> {
    await writeDurably(join(staging.path, recordFile), formatRecord(record));
    const path = join(this.#folder, staging.id);
    await rename(staging.path, path);
    this.#stagings.delete(staging.id);
    await syncFolderInBackground(this.#folder);
    const snapshot = snapshotOf(record, staging.id, path);
    this.#add(snapshot);
    return snapshot;
  }

  /** Replaces a snapshot's record in one step; it may change its key. */
  async rewrite(snapshot: Snapshot, record: SnapshotRecord): Promise<Snapshot> {
    const path = join(snapshot.path, recordFile);
    await writeDurably(`${path}.new`, formatRecord(record));
    await rename(`${path}.new`, path);
    await syncFolderInBackground(snapshot.path);
    this.#forget(snapshot);
    const changed = snapshotOf(record, snapshot.id, snapshot.path);
    this.#add(changed);
    return changed;
  }

  /** Drops a staging folder; its files are deleted later. */
  abandon(staging: Staging): void {
    this.#stagings.delete(staging.id);
    this.#trash(staging.path, staging.id);
  }

  /** Ends a snapshot: gone when this resolves, even if power fails; its files are deleted later. */
  async discard(snapshot: Snapshot): Promise<void> {
    this.#trash(snapshot.path, snapshot.id);
    this.#forget(snapshot);
    await syncFolderInBackground(this.#folder);
  }

  /** Deletes what a dead process left half made or half removed; tells what it found. */
  recover(): string[] {
    if (!existsSync(this.#folder)) return [];
    this.prepareFolders();
    const report: string[] = [];
    for (const id of readdirSync(join(this.#folder, 'staging'))) {
      this.#trash(join(this.#folder, 'staging', id), id);
      report.push(`dropped an unfinished snapshot (${id.slice(0, 12)})`);
    }
    for (const name of readdirSync(join(this.#folder, 'trash'))) {
      this.#delete(join(this.#folder, 'trash', name));
      report.push(`finished a removal (${name.slice(0, 12)})`);
    }
    for (const id of this.#unreadable) {
      report.push(`left ${join(this.#folder, id)} alone: its ${recordFile} cannot be read`);
    }
    return report;
  }

  /** The snapshot in whose folder a path lies. */
  at(path: string): Snapshot | undefined {
    return this.#byId.get(path.slice(this.#folder.length + 1).split('/')[0] ?? '');
  }

  /** Folders of snapshots whose record cannot be read. */
  get unreadable(): readonly string[] {
    return this.#unreadable;
  }

  /** What lies in `staging` and `trash` and nobody works on. */
  leftovers(): string[] {
    const list = (name: string): string[] => {
      const folder = join(this.#folder, name);
      return existsSync(folder) ? readdirSync(folder).map((entry) => join(folder, entry)) : [];
    };
    const staged = list('staging').filter((path) => !this.#stagings.has(basename(path)));
    return this.#deletions.size > 0 ? staged : [...staged, ...list('trash')];
  }

  /** Deletes one of the {@link SnapshotTree.leftovers}. */
  async sweep(path: string): Promise<void> {
    this.#delete(path);
    await this.idle();
  }

  /** Moves a folder without a readable record out of the tree. False when it is none. */
  setAside(id: string, target: string): boolean {
    const index = this.#unreadable.indexOf(id);
    if (index < 0) return false;
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    renameSync(join(this.#folder, id), target);
    this.#unreadable.splice(index, 1);
    return true;
  }

  /** Moves a snapshot's folder out of the tree. */
  moveOut(snapshot: Snapshot, target: string): void {
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    renameSync(snapshot.path, target);
    this.#forget(snapshot);
  }

  /** Publishes `staging` under the key of `old`, whose folder is moved to `target` first. */
  async replace(old: Snapshot, staging: Staging, record: SnapshotRecord, target: string): Promise<Snapshot> {
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    if (existsSync(old.path)) renameSync(old.path, target);
    this.#forget(old);
    return await this.publish(staging, record);
  }

  /** Tries anew to delete the removed folders that were in use. */
  retryDeletions(): void {
    for (const path of [...this.#undeleted]) this.#delete(path);
  }

  /** Waits for the deletions that run. */
  async idle(): Promise<void> {
    await Promise.all(this.#deletions);
  }

  #add(snapshot: Snapshot): void {
    this.#byKey.set(snapshot.key, snapshot);
    this.#byId.set(snapshot.id, snapshot);
    if (snapshot.parent === undefined) return;
    const siblings = this.#children.get(snapshot.parent) ?? new Set();
    this.#children.set(snapshot.parent, siblings.add(snapshot.key));
  }

  #forget(snapshot: Snapshot): void {
    this.#byKey.delete(snapshot.key);
    this.#byId.delete(snapshot.id);
    if (snapshot.parent !== undefined) this.#children.get(snapshot.parent)?.delete(snapshot.key);
  }

  #trash(path: string, id: string): void {
    // A folder that recovery moves a second time must not meet its own first name.
    const target = join(this.#folder, 'trash', `${id}.${randomBytes(4).toString('hex')}`);
    try {
      renameSync(path, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      // A full btrfs has no room for a new name, but a reserve for taking names away.
      rmSync(join(path, recordFile), { force: true });
      this.#delete(path);
      return;
    }
    this.#delete(target);
  }

  #delete(path: string): void {
    this.#undeleted.delete(path);
    const deletion = this.#release(path)
      .then(() => deleteInBackground(path))
      // What stays in the trash is tried again at the next start, or when the driver asks for it.
      .catch(() => void this.#undeleted.add(path))
      .finally(() => this.#deletions.delete(deletion));
    this.#deletions.add(deletion);
  }
}

function snapshotOf(record: SnapshotRecord, id: string, path: string): Snapshot {
  return { ...record, id, path, own: record.image ? imagePaths(path).root : path };
}

function noSuchSnapshot(key: string): VarveError {
  return new VarveError('not-found', 'NO_SUCH_SNAPSHOT', `No such snapshot: ${key}`, { subject: key });
}

/** Ids of the snapshots in a driver's folder, whole or not; none when there is no folder. */
export function holdings(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => idPattern.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readRecord(path: string): SnapshotRecord | undefined {
  try {
    return parseRecord(readFileSync(join(path, recordFile), 'utf8'));
  } catch {
    return undefined;
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(text);
  await file.sync();
}

async function syncFolderInBackground(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}
