import { constants } from 'node:fs';
import {
  check,
  errno,
  type FileStat,
  fileType,
  getXattr,
  listXattrs,
  openat,
  pathBelow,
  readlinkat,
} from '../../linux/index.ts';
import type { TarEntryType, Xattr } from '../tar/entry.ts';
import { isLocalXattr, overlayXattrs } from '../whiteouts.ts';

/** Something to be written to an archive. */
export type PackItem =
  /** A file below an open folder; the descriptor holds until the next item is asked for. */
  | {
      readonly kind: 'file';
      /** Its name in the archive; `./` style prefixes are the caller's choice. */
      readonly name: Buffer;
      readonly dirfd: number;
      readonly base: Buffer;
      readonly stat: FileStat;
    }
  /** An empty file that says something by its name: a whiteout. */
  | { readonly kind: 'marker'; readonly name: Buffer };

const types = new Map<number, TarEntryType>([
  [fileType.regular, 'file'],
  [fileType.directory, 'directory'],
  [fileType.symlink, 'symlink'],
  [fileType.fifo, 'fifo'],
  [fileType.characterDevice, 'character-device'],
  [fileType.blockDevice, 'block-device'],
]);

/** The entry type of a file; undefined for a socket, which no archive holds. */
export function typeOf(stat: FileStat): TarEntryType | undefined {
  return types.get(stat.mode & fileType.mask);
}

/**
 * The name an attribute has in an archive. overlayfs's own are left out; what it keeps escaped for a nested overlay is
 * given its real name again.
 */
function archiveXattrName(name: Buffer): Buffer | undefined {
  const text = name.toString('latin1');
  if (text.startsWith(overlayXattrs.escaped)) {
    return Buffer.from(overlayXattrs.trusted + text.slice(overlayXattrs.escaped.length), 'latin1');
  }
  if (text.startsWith(overlayXattrs.trusted) || text.startsWith(overlayXattrs.user)) return undefined;
  return isLocalXattr(name) ? undefined : name;
}

/** All attributes of a name below a folder, which is not followed; sorted by name. */
export function readXattrs(dirfd: number, base: Buffer): Xattr[] {
  const path = pathBelow(dirfd, base);
  const names = listXattrs(path);
  if (typeof names === 'number') {
    // Gone meanwhile: its reader will notice.
    if (names !== -errno.ENOENT) check(names, 'listxattr', base);
    return [];
  }
  const xattrs: Xattr[] = [];
  for (const name of names) {
    const value = getXattr(path, name);
    if (value instanceof Buffer) xattrs.push({ name, value });
  }
  return xattrs.sort((a, b) => a.name.compare(b.name));
}

/** Attributes as an archive has them. */
export function archiveXattrs(xattrs: readonly Xattr[]): Xattr[] {
  return xattrs.flatMap(({ name, value }) => {
    const to = archiveXattrName(name);
    return to ? [{ name: to, value }] : [];
  });
}

/** A symbolic link's target; undefined when it went away. */
export function readLink(dirfd: number, base: Buffer): Buffer | undefined {
  const target = readlinkat(dirfd, base);
  return typeof target === 'number' ? undefined : target;
}

/** Opens a regular file for reading, never waiting on a fifo put in its place. */
export function openFile(dirfd: number, base: Buffer): number {
  return openat(dirfd, base, constants.O_RDONLY | constants.O_NONBLOCK);
}
