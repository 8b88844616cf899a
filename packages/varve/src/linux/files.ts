import { constants } from 'node:fs';
import { CString, type FileName } from './c-string.ts';
import { errno, result, type SysResult } from './errno.ts';
import { declare } from './libc.ts';
import type { TimeSpec } from './stat.ts';

/*
 * System calls on names below an open folder. Every one returns a {@link SysResult}: the kernel's value or a negative
 * errno; wrap it in `check` where a failure is not expected. None follows a symbolic link in the last component
 * unless it says so.
 */

type Bytes = Buffer;
const libc = {
  syscallOpen: declare<(nr: number, dirfd: number, name: Bytes, how: Bytes, size: number) => number>(
    'long syscall(long nr, int dirfd, const void *name, void *how, size_t size)',
  ),
  openat: declare<(dirfd: number, name: Bytes, flags: number, mode: number) => number>(
    'int openat(int dirfd, const void *name, int flags, uint32_t mode)',
  ),
  close: declare<(fd: number) => number>('int close(int fd)'),
  mkdirat: declare<(dirfd: number, name: Bytes, mode: number) => number>(
    'int mkdirat(int dirfd, const void *name, uint32_t mode)',
  ),
  mknodat: declare<(dirfd: number, name: Bytes, mode: number, device: bigint) => number>(
    'int mknodat(int dirfd, const void *name, uint32_t mode, uint64_t device)',
  ),
  symlinkat: declare<(target: Bytes, dirfd: number, name: Bytes) => number>(
    'int symlinkat(const void *target, int dirfd, const void *name)',
  ),
  linkat: declare<(fromFd: number, from: Bytes, toFd: number, to: Bytes, flags: number) => number>(
    'int linkat(int fromFd, const void *from, int toFd, const void *to, int flags)',
  ),
  unlinkat: declare<(dirfd: number, name: Bytes, flags: number) => number>(
    'int unlinkat(int dirfd, const void *name, int flags)',
  ),
  renameat2: declare<(fromFd: number, from: Bytes, toFd: number, to: Bytes, flags: number) => number>(
    'int renameat2(int fromFd, const void *from, int toFd, const void *to, unsigned int flags)',
  ),
  fchownat: declare<(dirfd: number, name: Bytes, uid: number, gid: number, flags: number) => number>(
    'int fchownat(int dirfd, const void *name, uint32_t uid, uint32_t gid, int flags)',
  ),
  fchown: declare<(fd: number, uid: number, gid: number) => number>(
    'int fchown(int fd, uint32_t uid, uint32_t gid)',
  ),
  fchmod: declare<(fd: number, mode: number) => number>('int fchmod(int fd, uint32_t mode)'),
  syscallMode: declare<(nr: number, dirfd: number, name: Bytes, mode: number, flags: number) => number>(
    'long syscall(long nr, int dirfd, const void *name, uint32_t mode, int flags)',
  ),
  chmod: declare<(name: Bytes, mode: number) => number>('int chmod(const void *name, uint32_t mode)'),
  utimensat: declare<(dirfd: number, name: Bytes, times: Bytes, flags: number) => number>(
    'int utimensat(int dirfd, const void *name, const void *times, int flags)',
  ),
  futimens: declare<(fd: number, times: Bytes) => number>('int futimens(int fd, const void *times)'),
  readlinkat: declare<(dirfd: number, name: Bytes, into: Bytes, size: number) => number>(
    'long readlinkat(int dirfd, const void *name, void *into, size_t size)',
  ),
};

/** Flags of open(2) that Node's `fs.constants` lacks; the same on x86-64 and arm64. */
export const openFlags = {
  path: 0x20_0000, // O_PATH
  closeOnExec: 0x8_0000, // O_CLOEXEC
  /** O_TMPFILE: a file without a name in the folder that is opened. */
  nameless: 0x40_0000 | constants.O_DIRECTORY,
} as const;

/** `resolve` of openat2(2). */
export const resolveFlags = {
  noCrossDevice: 0x01,
  noMagicLinks: 0x02,
  noSymlinks: 0x04,
  beneath: 0x08,
  inRoot: 0x10,
} as const;

const systemCalls = { openat2: 437, fchmodat2: 452 } as const;
const symlinkNoFollow = 0x100; // AT_SYMLINK_NOFOLLOW
const symlinkFollow = 0x400; // AT_SYMLINK_FOLLOW
const currentFolder = -100; // AT_FDCWD
const removeDirectory = 0x200; // AT_REMOVEDIR

const first = new CString();
const second = new CString();
const how = Buffer.alloc(24);

/**
 * openat2(2) with O_CLOEXEC. `resolveFlags.inRoot` treats `dirfd` as `/` for `..` and for absolute links.
 * EAGAIN (a rename raced with `..`) is tried again, as the man page asks.
 */
export function openat2(
  dirfd: number,
  name: FileName,
  flags: number,
  mode: number,
  resolve: number,
): SysResult {
  const bad = first.set(name);
  if (bad < 0) return bad;
  how.writeBigUInt64LE(BigInt(flags | openFlags.closeOnExec), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  for (let tries = 0; ; tries++) {
    const fd = result(libc.syscallOpen(systemCalls.openat2, dirfd, first.buffer, how, how.length));
    if (fd !== -errno.EAGAIN || tries >= 128) return fd;
  }
}

/** openat(2) with O_CLOEXEC and O_NOFOLLOW. */
export function openat(dirfd: number, name: FileName, flags: number, mode = 0): SysResult {
  const bad = first.set(name);
  if (bad < 0) return bad;
  return result(libc.openat(dirfd, first.buffer, flags | openFlags.closeOnExec | constants.O_NOFOLLOW, mode));
}

/** close(2). */
export function close(fd: number): SysResult {
  return result(libc.close(fd));
}

/** mkdirat(2); the umask applies. */
export function mkdirat(dirfd: number, name: FileName, mode: number): SysResult {
  const bad = first.set(name);
  return bad < 0 ? bad : result(libc.mkdirat(dirfd, first.buffer, mode));
}

/** A device number as glibc's makedev(3) packs it. */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n);
}

/** mknodat(2): `mode` holds the type (S_IFCHR, S_IFBLK, S_IFIFO, S_IFREG, S_IFSOCK); the umask applies. */
export function mknodat(dirfd: number, name: FileName, mode: number, device = 0n): SysResult {
  const bad = first.set(name);
  return bad < 0 ? bad : result(libc.mknodat(dirfd, first.buffer, mode, device));
}

/** symlinkat(2). */
export function symlinkat(target: FileName, dirfd: number, name: FileName): SysResult {
  const bad = first.set(target) || second.set(name);
  return bad < 0 ? bad : result(libc.symlinkat(first.buffer, dirfd, second.buffer));
}

/** linkat(2) without following: a link to a symbolic link links the link. */
export function linkat(fromFd: number, from: FileName, toFd: number, to: FileName): SysResult {
  const bad = first.set(from) || second.set(to);
  return bad < 0 ? bad : result(libc.linkat(fromFd, first.buffer, toFd, second.buffer, 0));
}

/** linkat(2) of an open file, such as one made with O_TMPFILE; it must have a name left or never have had one. */
export function linkFd(fd: number, toFd: number, to: FileName): SysResult {
  const bad = first.set(`/proc/self/fd/${fd}`) || second.set(to);
  return bad < 0 ? bad : result(libc.linkat(currentFolder, first.buffer, toFd, second.buffer, symlinkFollow));
}

/** unlinkat(2) of anything but a folder. */
export function unlinkat(dirfd: number, name: FileName): SysResult {
  const bad = first.set(name);
  return bad < 0 ? bad : result(libc.unlinkat(dirfd, first.buffer, 0));
}

/** unlinkat(2) with AT_REMOVEDIR: an empty folder. */
export function rmdirat(dirfd: number, name: FileName): SysResult {
  const bad = first.set(name);
  return bad < 0 ? bad : result(libc.unlinkat(dirfd, first.buffer, removeDirectory));
}

/** renameat2(2); flags 1 is RENAME_NOREPLACE, 2 RENAME_EXCHANGE, 4 RENAME_WHITEOUT. */
export function renameat2(fromFd: number, from: FileName, toFd: number, to: FileName, flags = 0): SysResult {
  const bad = first.set(from) || second.set(to);
  return bad < 0 ? bad : result(libc.renameat2(fromFd, first.buffer, toFd, second.buffer, flags));
}

/** fchownat(2) with AT_SYMLINK_NOFOLLOW. Clears setuid, setgid and file capabilities: call it before the others. */
export function fchownat(dirfd: number, name: FileName, uid: number, gid: number): SysResult {
  const bad = first.set(name);
  return bad < 0 ? bad : result(libc.fchownat(dirfd, first.buffer, uid, gid, symlinkNoFollow));
}

/** fchown(2). */
export function fchown(fd: number, uid: number, gid: number): SysResult {
  return result(libc.fchown(fd, uid, gid));
}

/** fchmod(2). */
export function fchmod(fd: number, mode: number): SysResult {
  return result(libc.fchmod(fd, mode));
}

/**
 * fchmodat2(2) with AT_SYMLINK_NOFOLLOW (Linux 6.6); before it, chmod(2) of an O_PATH descriptor under /proc. A
 * symbolic link has no mode to change: EOPNOTSUPP.
 */
export function fchmodat(dirfd: number, name: FileName, mode: number): SysResult {
  const bad = first.set(name);
  if (bad < 0) return bad;
  const done = result(libc.syscallMode(systemCalls.fchmodat2, dirfd, first.buffer, mode, symlinkNoFollow));
  if (done !== -errno.ENOSYS) return done;
  const fd = openat(dirfd, name, openFlags.path);
  if (fd < 0) return fd;
  first.set(`/proc/self/fd/${fd}`);
  const changed = result(libc.chmod(first.buffer, mode));
  close(fd);
  return changed;
}

const timesBuffer = Buffer.alloc(32);

function timespecs(atime: TimeSpec, mtime: TimeSpec): Buffer {
  timesBuffer.writeBigInt64LE(BigInt(atime.seconds), 0);
  timesBuffer.writeInt32LE(atime.nanoseconds, 8);
  timesBuffer.writeBigInt64LE(BigInt(mtime.seconds), 16);
  timesBuffer.writeInt32LE(mtime.nanoseconds, 24);
  return timesBuffer;
}

/** utimensat(2) with AT_SYMLINK_NOFOLLOW, to the nanosecond (Node's utimes goes through doubles and loses them). */
export function utimensat(dirfd: number, name: FileName, atime: TimeSpec, mtime: TimeSpec): SysResult {
  const bad = first.set(name);
  if (bad < 0) return bad;
  return result(libc.utimensat(dirfd, first.buffer, timespecs(atime, mtime), symlinkNoFollow));
}

/** futimens(3). */
export function futimens(fd: number, atime: TimeSpec, mtime: TimeSpec): SysResult {
  return result(libc.futimens(fd, timespecs(atime, mtime)));
}

const linkBuffer = Buffer.alloc(4096);

/** readlinkat(2): the target's bytes, or a negative errno. */
export function readlinkat(dirfd: number, name: FileName): Buffer | SysResult {
  const bad = first.set(name);
  if (bad < 0) return bad;
  const length = result(libc.readlinkat(dirfd, first.buffer, linkBuffer, linkBuffer.length));
  return length < 0 ? length : Buffer.from(linkBuffer.subarray(0, length));
}
