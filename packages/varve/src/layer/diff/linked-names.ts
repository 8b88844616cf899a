import { closeSync, constants, openSync } from 'node:fs';
import { close, type FileStat, listFolder, openat, statAt } from '../../linux/index.ts';
import { type BytePath, joinPath } from '../names.ts';
import type { DiffItem } from './item.ts';
import { isDirectory } from './merged-folder.ts';

const identity = ({ device, inode }: FileStat): string => `${device} ${inode}`;

/**
 * A diff of two trees with, at its end, the unchanged names of files of which it has another name: a file whose links
 * are `a` and `b`, then `b` and `c`, would otherwise come out as two. Only then is the tree walked once more.
 * @param upper the newer tree.
 */
export function* withLinkedNames(items: Iterable<DiffItem>, upper: string): Generator<DiffItem, void, void> {
  const linked = new Map<string, Set<BytePath>>();
  const missing = new Map<string, number>();
  for (const item of items) {
    if (item.kind === 'entry' && item.stat.nlink > 1 && !isDirectory(item.stat)) {
      const key = identity(item.stat);
      const names = linked.get(key) ?? new Set();
      linked.set(key, names.add(item.path));
      missing.set(key, item.stat.nlink - names.size);
    }
    yield item;
  }
  for (const [key, count] of missing) if (count <= 0) linked.delete(key);
  if (linked.size === 0) return;
  const fd = openSync(upper, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    yield* otherNames(fd, '', linked);
  } finally {
    closeSync(fd);
  }
}

function* otherNames(
  dirfd: number,
  path: BytePath,
  linked: ReadonlyMap<string, ReadonlySet<BytePath>>,
): Generator<DiffItem, void, void> {
  const entries = listFolder(dirfd);
  if (typeof entries === 'number') return;
  entries.sort((a, b) => a.name.compare(b.name));
  for (const { name: base } of entries) {
    const stat = statAt(dirfd, base);
    if (typeof stat === 'number') continue;
    const child = joinPath(path, base.toString('latin1'));
    if (isDirectory(stat)) {
      const fd = openat(dirfd, base, constants.O_RDONLY | constants.O_DIRECTORY);
      if (fd < 0) continue;
      try {
        yield* otherNames(fd, child, linked);
      } finally {
        close(fd);
      }
    } else if (linked.get(identity(stat))?.has(child) === false) {
      yield { kind: 'entry', path: child, dirfd, base, stat, lower: () => undefined, parentOnly: false };
    }
  }
}
