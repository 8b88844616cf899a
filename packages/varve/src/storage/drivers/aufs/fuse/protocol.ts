/*
 * The kernel's FUSE protocol, version 7 as of 7.40: numbers of linux/fuse.h (uapi). All values are little endian as the
 * machine is; structures are read and written at the offsets given where they are used.
 */

/** Requests by number. */
export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  create: 35,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  tmpfile: 51,
} as const;

export type OperationName = keyof typeof opcodes;

/** Bits of `flags` in INIT. */
export const initFlags = {
  asyncRead: 1 << 0,
  /** OPEN carries O_TRUNC, so that a file to be emptied is not copied first. */
  atomicTruncate: 1 << 3,
  bigWrites: 1 << 5,
  /** The umask comes with a request: where a folder has a default ACL it does not count. */
  dontMask: 1 << 6,
  readdirplus: 1 << 13,
  readdirplusAuto: 1 << 14,
  asyncDirectIo: 1 << 15,
  parallelFolderOperations: 1 << 18,
  posixAcl: 1 << 20,
  maxPages: 1 << 22,
  cacheLinks: 1 << 23,
  /** The server clears setuid, setgid and capabilities where a request says so: no GETXATTR before each write. */
  handleKillPrivileges: 1 << 28,
  extendedSetxattr: 1 << 29,
  /** `flags2` is there. */
  extended: 1 << 30,
} as const;

/** Bits of `flags2` in INIT. */
export const initFlags2 = { passthrough: 1 << 5 } as const;

/** Bits of an OPEN's answer. */
export const openReplyFlags = { keepCache: 1 << 1, cacheFolder: 1 << 3, passthrough: 1 << 7 } as const;

/** Bits of `valid` in SETATTR. */
export const attributeBits = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  atime: 1 << 4,
  mtime: 1 << 5,
  atimeNow: 1 << 7,
  mtimeNow: 1 << 8,
  killSetId: 1 << 11,
} as const;

/** WRITE_KILL_SUIDGID of WRITE; OPEN_KILL_SUIDGID of OPEN and CREATE; SETXATTR_ACL_KILL_SGID of SETXATTR. */
export const killFlags = { write: 1 << 2, open: 1 << 0, acl: 1 << 0 } as const;

/** Flags of renameat2(2). */
export const renameFlags = { noReplace: 1, exchange: 2 } as const;

/** Bytes of the headers and structures of fixed size. */
export const sizes = {
  inHeader: 40,
  outHeader: 16,
  attributes: 88,
  entry: 128,
  attributesReply: 104,
  open: 16,
  initReply: 64,
  statfs: 80,
  folderEntry: 24,
} as const;

/** Largest read or write in one request: 256 pages, the kernel's own limit unless an administrator raised it. */
export const maxTransfer = 1 << 20;
