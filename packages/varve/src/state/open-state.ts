import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { syncFolder, VarveError } from '../base/index.ts';
import { State } from './state.ts';

/** What was done about records that could not be read. */
export interface LostState {
  /** Why they could not. */
  readonly reason: string;
  /** Folder that the damaged files were moved to; undefined when there were none. */
  readonly aside: string | undefined;
  /** Milliseconds since 1970 of the copy that stands in their place; undefined when it begins empty. */
  readonly backupFrom: number | undefined;
}

/** Where {@link State.backup} keeps the copy of a record store. */
export function backupOf(path: string): string {
  return `${path}.backup`;
}

/**
 * Opens the records, whatever became of the file: one that is damaged, empty or gone is moved away, and the last copy stands in
 * its place, or an empty one.
 * @param quarantine folder for damaged files.
 * @throws VarveError when the file cannot be opened for another reason (rights, a full disk).
 */
export function openState(
  path: string,
  quarantine: string,
): { readonly state: State; readonly lost: LostState | undefined } {
  const reason = damageOf(path);
  if (reason === undefined) return { state: new State(path), lost: undefined };
  const aside = setAside(path, quarantine);
  const backup = backupOf(path);
  const usable = existsSync(backup) && damageOf(backup) === undefined;
  if (usable) copyDurably(backup, path);
  const backupFrom = usable ? statSync(backup).mtimeMs : undefined;
  return { state: new State(path), lost: { reason, aside, backupFrom } };
}

/** Why a database cannot be used; undefined when it can, or is a new one. */
function damageOf(path: string): string | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (!size) {
    const had = existsSync(backupOf(path));
    if (!had) return undefined;
    return size === undefined ? 'the file is gone' : 'the file is empty';
  }
  try {
    const database = new DatabaseSync(path);
    try {
      const row = database.prepare('PRAGMA quick_check(1)').get();
      const verdict = String(Object.values(row ?? {})[0]);
      return verdict === 'ok' ? undefined : verdict;
    } finally {
      database.close();
    }
  } catch (error) {
    const { errcode, message } = error as { errcode?: number; message: string };
    // SQLITE_CORRUPT and SQLITE_NOTADB, in the lower byte of extended codes.
    if (errcode !== undefined && [11, 26].includes(errcode & 0xff)) return message;
    throw VarveError.from(error);
  }
}

function setAside(path: string, quarantine: string): string | undefined {
  const files = [path, `${path}-wal`, `${path}-shm`].filter((file) => existsSync(file));
  if (files.length === 0) return undefined;
  const target = join(quarantine, `records-${new Date().toISOString().replaceAll(':', '')}`);
  mkdirSync(target, { recursive: true, mode: 0o700 });
  for (const file of files) renameSync(file, join(target, basename(file)));
  syncFolder(dirname(path));
  return target;
}

function copyDurably(from: string, to: string): void {
  const temporary = `${to}.new`;
  rmSync(temporary, { force: true });
  copyFileSync(from, temporary);
  const file = openSync(temporary, 'r+');
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, to);
  syncFolder(dirname(to));
}
