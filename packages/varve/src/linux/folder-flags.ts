import { result, type SysResult } from './errno.ts';
import { declare } from './libc.ts';

const ioctl = declare<(fd: number, request: number, flags: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *flags)',
);

const getFlags = 0x8008_6601; // FS_IOC_GETFLAGS
const setFlags = 0x4008_6602; // FS_IOC_SETFLAGS
const topFolder = 0x0002_0000; // FS_TOPDIR_FL

/**
 * ioctl_iflags(2) FS_TOPDIR_FL: tells ext4 that the folders made in this one have nothing to do with each other, so that
 * it spreads them over the disk. -EOPNOTSUPP or -ENOTTY on other file systems.
 */
export function spreadFolders(fd: number): SysResult {
  const flags = Buffer.alloc(8);
  const got = result(ioctl(fd, getFlags, flags));
  if (got < 0) return got;
  flags.writeUInt32LE((flags.readUInt32LE() | topFolder) >>> 0);
  return result(ioctl(fd, setFlags, flags));
}
