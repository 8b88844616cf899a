import { closeSync, constants, openSync } from 'node:fs';
import { check, close, type FileStat, listFolder, openat, statAt } from '../../linux/index.ts';
import { type BytePath, joinPath } from '../names.ts';
import type { DiffItem } from './item.ts';
import { isDirectory } from './merged-folder.ts';
import type { Located } from './same.ts';

type EntryItem = Extract<DiffItem, { kind: 'entry' }>;

/**
 * Compares two full trees entry by entry. Without a lower one everything is new. Folders in which something differs come
 * before it even when they are the same themselves, so that a layer always has the parents of what it has.
 * @param same decides for two files of one name and type.
 */
export function* treeDiff(
  upper: string,
  lower: string | undefined,
  same: (upper: Located, lower: Located) => boolean,
): Generator<DiffItem, void, void> {
  const upperFd = openSync(upper, constants.O_RDONLY | constants.O_DIRECTORY);
  const lowerFd = lower === undefined ? -1 : openSync(lower, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    yield* new TreeDiff(same).folder(upperFd, lowerFd, '');
  } finally {
    closeSync(upperFd);
    if (lowerFd >= 0) closeSync(lowerFd);
  }
}

class TreeDiff {
  readonly #same: (upper: Located, lower: Located) => boolean;
  /** Folders on the way down that are the same so far; shown when something in them is not. */
  #unshown: EntryItem[] = [];

  constructor(same: (upper: Located, lower: Located) => boolean) {
    this.#same = same;
  }

  *folder(upper: number, lower: number, path: BytePath): Generator<DiffItem, void, void> {
    const lowerNames = new Map(names(lower, path).map((name) => [name.toString('latin1'), name]));
    const upperNames = new Map(names(upper, path).map((name) => [name.toString('latin1'), name]));
    const all = [...new Map([...lowerNames, ...upperNames]).values()].sort((a, b) => a.compare(b));
    for (const base of all) {
      const key = base.toString('latin1');
      const child = joinPath(path, key);
      const there = upperNames.has(key) ? statAt(upper, base) : undefined;
      if (typeof there !== 'object') {
        if (lowerNames.has(key)) yield* this.#show({ kind: 'deleted', path: child });
        continue;
      }
      yield* this.#compare(upper, lower, base, child, there);
    }
  }

  *#compare(
    upper: number,
    lower: number,
    base: Buffer,
    path: BytePath,
    stat: FileStat,
  ): Generator<DiffItem, void, void> {
    const found = lower < 0 ? undefined : statAt(lower, base);
    const below = typeof found === 'object' ? { stat: found, dirfd: lower, base } : undefined;
    const item: EntryItem = {
      kind: 'entry',
      path,
      dirfd: upper,
      base,
      stat,
      lower: () => below,
      parentOnly: false,
    };
    const differs = !below || !this.#same({ dirfd: upper, base, stat }, below);
    if (differs) yield* this.#show(item);
    if (!isDirectory(stat)) return;
    if (!differs) this.#unshown.push({ ...item, parentOnly: true });
    const upperChild = openat(upper, base, constants.O_RDONLY | constants.O_DIRECTORY);
    const lowerChild =
      below && isDirectory(below.stat) ? openat(lower, base, constants.O_RDONLY | constants.O_DIRECTORY) : -1;
    try {
      if (upperChild >= 0) yield* this.folder(upperChild, lowerChild, path);
    } finally {
      if (upperChild >= 0) close(upperChild);
      if (lowerChild >= 0) close(lowerChild);
    }
    if (this.#unshown.at(-1)?.path === path) this.#unshown.pop();
  }

  *#show(item: DiffItem): Generator<DiffItem, void, void> {
    const parents = this.#unshown;
    this.#unshown = [];
    yield* parents;
    yield item;
  }
}

function names(fd: number, path: BytePath): Buffer[] {
  if (fd < 0) return [];
  const entries = listFolder(fd);
  if (typeof entries === 'number') {
    check(entries, 'getdents64', path);
    return [];
  }
  return entries.map(({ name }) => name);
}
