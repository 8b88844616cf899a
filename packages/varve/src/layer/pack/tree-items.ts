import { constants } from 'node:fs';
import { notFound } from '../../base/index.ts';
import { check, close, listFolder, openat, statAt } from '../../linux/index.ts';
import { ConfinedRoot } from '../apply/confined-root.ts';
import { isDirectory } from '../diff/merged-folder.ts';
import { cleanPath, pathBytes, splitPath } from '../names.ts';
import type { PackItem } from './item.ts';

/** A file or folder to pack. */
export interface PackSource {
  /** Inside the root; links on the way are resolved inside the root, the last part is not followed. Empty: the root. */
  readonly path: string;
  /**
   * Its name in the archive (`docker cp` names the copy so); `path` itself unless given. Empty for a folder: what is in it
   * goes to the archive's top, without an entry for it.
   */
  readonly name?: string;
}

/**
 * The files of subtrees, parents first, names in byte order, read through descriptors confined to the root.
 * @throws VarveError `not-found` for a source that is not there.
 */
export function* treeItems(root: string, sources: readonly PackSource[]): Generator<PackItem, void, void> {
  using confined = new ConfinedRoot(root);
  for (const source of sources) {
    const path = cleanPath(Buffer.from(source.path));
    const name = Buffer.from(source.name ?? source.path.replace(/^\/+|\/+$/g, ''));
    if (path === '') {
      yield* subtree(confined.fd, Buffer.from('.'), name, source.path);
      continue;
    }
    const { parent, base } = splitPath(path);
    const kept = confined.folder(parent);
    if (kept < 0) throw notFound('path', source.path);
    // Of our own: the kept one closes with the next look-up.
    const dirfd = check(openat(kept, '.', constants.O_RDONLY | constants.O_DIRECTORY), 'openat', source.path);
    try {
      yield* subtree(dirfd, pathBytes(base), name, source.path);
    } finally {
      close(dirfd);
    }
  }
}

const slash = Buffer.from('/');

function* subtree(dirfd: number, base: Buffer, name: Buffer, shown: string): Generator<PackItem, void, void> {
  const stat = statAt(dirfd, base);
  if (typeof stat === 'number') throw notFound('path', shown);
  if (!isDirectory(stat)) {
    yield { kind: 'file', name, dirfd, base, stat };
    return;
  }
  if (name.length > 0) yield { kind: 'file', name: Buffer.concat([name, slash]), dirfd, base, stat };
  yield* inside(dirfd, base, name.length === 0 ? name : Buffer.concat([name, slash]));
}

function* inside(dirfd: number, base: Buffer, prefix: Buffer): Generator<PackItem, void, void> {
  const fd = openat(dirfd, base, constants.O_RDONLY | constants.O_DIRECTORY);
  // Went away meanwhile.
  if (fd < 0) return;
  try {
    const entries = listFolder(fd);
    if (typeof entries === 'number') return;
    entries.sort((a, b) => a.name.compare(b.name));
    for (const entry of entries) {
      const stat = statAt(fd, entry.name);
      if (typeof stat === 'number') continue;
      const folder = isDirectory(stat);
      const name = Buffer.concat(folder ? [prefix, entry.name, slash] : [prefix, entry.name]);
      yield { kind: 'file', name, dirfd: fd, base: entry.name, stat };
      if (folder) yield* inside(fd, entry.name, name);
    }
  } finally {
    close(fd);
  }
}
