import { constants } from 'node:fs';
import { check, close, type FolderEntry, listFolder, openat } from '../../../../linux/index.ts';
import { isReserved, whiteoutTarget } from './names.ts';
import type { FolderNode, Part } from './node.ts';
import type { Union } from './union.ts';

/** A name that a folder shows. */
export interface ListedName {
  /** One character a byte. */
  readonly name: string;
  /** d_type of getdents64(2). */
  readonly type: number;
}

/** The names that a merged folder shows, without `.` and `..`: of the topmost branch first, whiteouts obeyed. */
export function listMerged(union: Union, folder: FolderNode): ListedName[] {
  const shown = new Map<string, ListedName>();
  const deleted = new Set<string>();
  for (const part of union.parts(folder)) {
    const names: ListedName[] = [];
    for (const { name, type } of list(part)) {
      const text = name.toString('latin1');
      if (!isReserved(text)) {
        names.push({ name: text, type });
        continue;
      }
      // A whiteout hides its own branch's file too.
      const target = whiteoutTarget(text);
      if (target !== undefined) deleted.add(target);
    }
    for (const entry of names) {
      if (!deleted.has(entry.name) && !shown.has(entry.name)) shown.set(entry.name, entry);
    }
  }
  return [...shown.values()];
}

function list({ fd }: Part): FolderEntry[] {
  const readable = check(openat(fd, '.', constants.O_RDONLY | constants.O_DIRECTORY), 'openat', '.');
  const entries = listFolder(readable);
  close(readable);
  if (typeof entries !== 'number') return entries;
  check(entries, 'getdents64', '.');
  return [];
}
