import { CString, type FileName } from './c-string.ts';
import { result, type SysResult } from './errno.ts';
import { declare } from './libc.ts';

/** A time since 1970: whole seconds (negative before it) and 0 to 999,999,999 nanoseconds on top. */
export interface TimeSpec {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Types of stat(2), `mode & fileType.mask`. */
export const fileType = {
  mask: 0o170000,
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;

/** What statx(2) says of a file. */
export interface FileStat {
  /** With the type bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** All 64 bits: overlayfs (xino) uses the high ones. */
  readonly inode: bigint;
  /** Bytes; above 2^53 rounded. */
  readonly size: number;
  /** Of 512 bytes each. */
  readonly blocks: number;
  readonly atime: TimeSpec;
  readonly mtime: TimeSpec;
  readonly ctime: TimeSpec;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  /** Device of the file system, `major:minor`. */
  readonly device: string;
}

const libc = {
  statx: declare<(dirfd: number, name: Buffer, flags: number, mask: number, into: Buffer) => number>(
    'int statx(int dirfd, const void *name, int flags, unsigned int mask, void *into)',
  ),
};

const noFollow = 0x100; // AT_SYMLINK_NOFOLLOW
const emptyPath = 0x1000; // AT_EMPTY_PATH
const basicStats = 0x7ff; // STATX_BASIC_STATS
const name = new CString();
const buffer = Buffer.alloc(256);
const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);

function time(offset: number): TimeSpec {
  return {
    seconds: Number(view.getBigInt64(offset, true)),
    nanoseconds: view.getUint32(offset + 8, true),
  };
}

function decode(): FileStat {
  return {
    mode: view.getUint16(28, true),
    nlink: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    inode: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    blocks: Number(view.getBigUint64(48, true)),
    atime: time(64),
    ctime: time(96),
    mtime: time(112),
    rdevMajor: view.getUint32(128, true),
    rdevMinor: view.getUint32(132, true),
    device: `${view.getUint32(136, true)}:${view.getUint32(140, true)}`,
  };
}

/** statx(2) with AT_SYMLINK_NOFOLLOW; a negative errno on failure. */
export function statAt(dirfd: number, path: FileName): FileStat | SysResult {
  const bad = name.set(path);
  if (bad < 0) return bad;
  const done = result(libc.statx(dirfd, name.buffer, noFollow, basicStats, buffer));
  return done < 0 ? done : decode();
}

/** statx(2) of an open file, O_PATH ones too; a negative errno on failure. */
export function statFd(fd: number): FileStat | SysResult {
  name.set('');
  const done = result(libc.statx(fd, name.buffer, emptyPath, basicStats, buffer));
  return done < 0 ? done : decode();
}
