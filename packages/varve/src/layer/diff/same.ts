import { readSync } from 'node:fs';
import { close, type FileStat, fileType, getXattr, pathBelow, type TimeSpec } from '../../linux/index.ts';
import { archiveXattrs, openFile, readLink, readXattrs } from '../pack/item.ts';
import type { Xattr } from '../tar/entry.ts';

/** A file by its folder. */
export interface Located {
  readonly dirfd: number;
  readonly base: Buffer;
  readonly stat: FileStat;
}

function sameTime(a: TimeSpec, b: TimeSpec): boolean {
  return a.seconds === b.seconds && a.nanoseconds === b.nanoseconds;
}

function type(stat: FileStat): number {
  return stat.mode & fileType.mask;
}

/** Type, mode, owner and device number. */
function sameKind(a: FileStat, b: FileStat): boolean {
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.rdevMajor === b.rdevMajor &&
    a.rdevMinor === b.rdevMinor
  );
}

/**
 * Whether Docker shows no change (moby archive changes_unix.go): mode, owner, device, size, mtime and capabilities;
 * neither size nor mtime of a folder.
 */
export function sameToDocker(a: Located, b: Located): boolean {
  if (!sameKind(a.stat, b.stat)) return false;
  if (type(a.stat) !== fileType.directory) {
    if (a.stat.size !== b.stat.size || !sameTime(a.stat.mtime, b.stat.mtime)) return false;
  }
  return sameBytes(capability(a), capability(b));
}

function capability({ dirfd, base }: Located): Buffer | undefined {
  const value = getXattr(pathBelow(dirfd, base), 'security.capability');
  return value instanceof Buffer ? value : undefined;
}

function sameBytes(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}

function sameXattrs(a: readonly Xattr[], b: readonly Xattr[]): boolean {
  return (
    a.length === b.length &&
    a.every((x, i) => {
      const y = b[i];
      return y !== undefined && x.name.equals(y.name) && x.value.equals(y.value);
    })
  );
}

/**
 * Whether a layer need not have the file: nothing that an archive holds differs. Content is read only in doubt: with
 * equal sizes and times, a whole-second mtime may have been set by a tool (dpkg, reproducible builds do), where one with
 * nanoseconds was made by writing.
 */
export function sameToLayer(upper: Located, lower: Located): boolean {
  const [a, b] = [upper.stat, lower.stat];
  if (a.device === b.device && a.inode === b.inode) return true;
  if (!sameKind(a, b) || !sameTime(a.mtime, b.mtime)) return false;
  const kind = type(a);
  // A name more: the group of links has grown and is written anew.
  if (kind !== fileType.directory && a.nlink > b.nlink) return false;
  if (kind === fileType.symlink) {
    if (!sameBytes(readLink(upper.dirfd, upper.base), readLink(lower.dirfd, lower.base))) return false;
  }
  const xattrs = (file: Located): Xattr[] => archiveXattrs(readXattrs(file.dirfd, file.base));
  if (!sameXattrs(xattrs(upper), xattrs(lower))) return false;
  if (kind !== fileType.regular) return true;
  if (a.size !== b.size) return false;
  return a.mtime.nanoseconds !== 0 || a.size === 0 || sameContent(upper, lower);
}

/** Coarser than any kernel's clock for files: a change just before a snapshot and one just after may have the same time. */
const clockMs = 1000;

/**
 * Trusts a snapshot's inodes: what has had its number and status-change time since before the snapshot was taken is the
 * same file, since no change leaves that time alone and btrfs gives no number twice.
 */
export function sameSinceSnapshot(
  same: (upper: Located, lower: Located) => boolean,
  takenAt: number | undefined,
): (upper: Located, lower: Located) => boolean {
  if (takenAt === undefined) return same;
  return (upper, lower) => {
    const [a, b] = [upper.stat, lower.stat];
    const isKept = a.inode === b.inode && sameTime(a.ctime, b.ctime) && type(a) === type(b);
    return (isKept && a.ctime.seconds * 1000 < takenAt - clockMs) || same(upper, lower);
  };
}

const left = Buffer.allocUnsafeSlow(128 << 10);
const right = Buffer.allocUnsafeSlow(128 << 10);

function sameContent(upper: Located, lower: Located): boolean {
  const a = openFile(upper.dirfd, upper.base);
  const b = openFile(lower.dirfd, lower.base);
  try {
    if (a < 0 || b < 0) return false;
    for (;;) {
      const length = readSync(a, left, 0, left.length, null);
      if (length !== readSync(b, right, 0, right.length, null)) return false;
      if (length === 0) return true;
      if (left.compare(right, 0, length, 0, length) !== 0) return false;
    }
  } finally {
    if (a >= 0) close(a);
    if (b >= 0) close(b);
  }
}
