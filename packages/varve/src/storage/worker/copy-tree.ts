import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import {
  check,
  cloneFile,
  close,
  copyFileRange,
  errno,
  type FileStat,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  fileType,
  ftruncate,
  futimens,
  getXattr,
  linkat,
  listFolder,
  listXattrs,
  makeDevice,
  mkdirat,
  mknodat,
  openat,
  pathBelow,
  readlinkat,
  type SysResult,
  seekData,
  seekHole,
  setXattr,
  statAt,
  statFd,
  symlinkat,
  systemError,
  utimensat,
  type XattrTarget,
} from '../../linux/index.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** Files of the source with more than one name: where the first copy is, relative to the copy's root. */
type Copied = Map<bigint, Buffer>;

/**
 * Copies all in a folder, and the folder's own attributes, into an existing empty one: types, hard links, owners,
 * modes, extended attributes, times to the nanosecond, devices, holes. Blocks are shared where the file system can
 * (FICLONE). Names are bytes and every step is below an open folder, so neither encoding nor depth of a path matters.
 */
export function copyTree(from: string, to: string): void {
  const source = openSync(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const target = openSync(to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      copyFolder({ source, target, root: target, path: Buffer.alloc(0), copied: new Map() });
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

interface Place {
  readonly source: number;
  readonly target: number;
  readonly root: number;
  /** Of `target`, relative to `root`, with a slash at its end unless empty. */
  readonly path: Buffer;
  readonly copied: Copied;
}

function copyFolder(place: Place): void {
  for (const { name } of must(listFolder(place.source), 'getdents64', place.path.toString())) {
    const stat = must(statAt(place.source, name), 'statx', name.toString());
    if ((stat.mode & fileType.mask) === fileType.directory) copySubfolder(place, name);
    else if (!linkToEarlier(place, name, stat)) copyOther(place, name, stat);
  }
  const stat = must(statFd(place.source), 'statx', place.path.toString());
  copyAttributesOf(place.source, place.target, stat, place.path.toString());
}

function copySubfolder(place: Place, name: Buffer): void {
  const label = name.toString();
  check(mkdirat(place.target, name, 0o700), 'mkdirat', label);
  const source = check(openat(place.source, name, O_RDONLY | O_DIRECTORY), 'openat', label);
  try {
    const target = check(openat(place.target, name, O_RDONLY | O_DIRECTORY), 'openat', label);
    try {
      copyFolder({ ...place, source, target, path: Buffer.concat([place.path, name, Buffer.from('/')]) });
    } finally {
      close(target);
    }
  } finally {
    close(source);
  }
}

function linkToEarlier({ root, target, path, copied }: Place, name: Buffer, stat: FileStat): boolean {
  if (stat.nlink < 2) return false;
  const first = copied.get(stat.inode);
  if (!first) {
    copied.set(stat.inode, Buffer.concat([path, name]));
    return false;
  }
  check(linkat(root, first, target, name), 'linkat', name.toString());
  return true;
}

/**
 * Copies one thing that is no folder, from an open folder to another.
 * @param options.empty a file comes without its content.
 */
export function copyOther(
  { source, target }: Pick<Place, 'source' | 'target'>,
  name: Buffer,
  stat: FileStat,
  options: { readonly empty?: boolean } = {},
): void {
  const label = name.toString();
  const type = stat.mode & fileType.mask;
  if (type === fileType.regular) {
    copyFile(source, target, name, options.empty === true ? { ...stat, size: 0 } : stat);
    return;
  }
  if (type === fileType.symlink) {
    check(symlinkat(must(readlinkat(source, name), 'readlinkat', label), target, name), 'symlinkat', label);
  } else {
    const device = makeDevice(stat.rdevMajor, stat.rdevMinor);
    check(mknodat(target, name, type | 0o600, device), 'mknodat', label);
  }
  // chown(2) clears set-id bits and capabilities, so the owner comes first.
  check(fchownat(target, name, stat.uid, stat.gid), 'fchownat', label);
  copyXattrs(pathBelow(source, name), pathBelow(target, name), label);
  if (type !== fileType.symlink) check(fchmodat(target, name, stat.mode & 0o7777), 'fchmodat', label);
  check(utimensat(target, name, stat.atime, stat.mtime), 'utimensat', label);
}

function copyFile(source: number, target: number, name: Buffer, stat: FileStat): void {
  const label = name.toString();
  const from = check(openat(source, name, O_RDONLY | O_NONBLOCK), 'openat', label);
  try {
    const to = check(openat(target, name, O_WRONLY | O_CREAT | O_EXCL, 0o600), 'openat', label);
    try {
      copyContent(from, to, stat, label);
      copyAttributesOf(from, to, stat, label);
    } finally {
      close(to);
    }
  } finally {
    close(from);
  }
}

function copyContent(from: number, to: number, stat: FileStat, label: string): void {
  if (stat.size === 0 || cloneFile(from, to) >= 0) return;
  if (stat.blocks * 512 >= stat.size) {
    for (let left = stat.size; left > 0; ) {
      const count = copyFileRange(from, to, Math.min(left, 1 << 30));
      // Some file systems cannot; what was copied so far is written again below.
      if (count <= 0) break;
      left -= count;
      if (left === 0) return;
    }
  }
  check(ftruncate(to, stat.size), 'ftruncate', label);
  for (let offset = 0; offset < stat.size; ) {
    const start = seekData(from, offset);
    if (start === -errno.ENXIO) return;
    const end = check(seekHole(from, check(start, 'lseek', label)), 'lseek', label);
    copyExtent(from, to, start, end);
    offset = end;
  }
}

const buffer = Buffer.alloc(1 << 20);

function copyExtent(from: number, to: number, start: number, end: number): void {
  for (let offset = start; offset < end; ) {
    const count = readSync(from, buffer, 0, Math.min(buffer.length, end - offset), offset);
    if (count === 0) return;
    for (let done = 0; done < count; ) done += writeSync(to, buffer, done, count - done, offset + done);
    offset += count;
  }
}

/** Gives an open file the owner, mode, attributes and times of another. */
export function copyAttributesOf(from: number, to: number, stat: FileStat, label: string): void {
  check(fchown(to, stat.uid, stat.gid), 'fchown', label);
  copyXattrs(from, to, label);
  check(fchmod(to, stat.mode & 0o7777), 'fchmod', label);
  check(futimens(to, stat.atime, stat.mtime), 'futimens', label);
}

function copyXattrs(from: XattrTarget, to: XattrTarget, label: string): void {
  for (const name of must(listXattrs(from), 'listxattr', label)) {
    const value = must(getXattr(from, name), 'getxattr', label);
    if (value) check(setXattr(to, name, value), 'setxattr', `${label} ${name.toString()}`);
  }
}

function must<T>(value: T | SysResult, call: string, subject: string): Exclude<T, SysResult> {
  if (typeof value === 'number') throw systemError(call, subject, -value);
  return value as Exclude<T, SysResult>;
}
