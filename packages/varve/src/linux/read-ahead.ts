import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { declare } from './libc.ts';
import { statFd } from './stat.ts';

const ioctl = declare<(fd: number, request: number, path: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *path)',
);

/** struct fs_sysfs_path: a length and that many bytes, of 128. */
const pathBytes = 129;
const getSysfsPath = 0x8081_1501; // FS_IOC_GETFSSYSFSPATH

/**
 * How many KiB the kernel reads ahead in the files of a disk: sysfs-block(5) queue/read_ahead_kb of the one that holds
 * `path`. Undefined where no single disk does.
 */
export function diskReadAhead(path: string): number | undefined {
  const found = withOpen(path, statFd);
  if (typeof found === 'number') return undefined;
  const device = `/sys/dev/block/${found.device}`;
  // A partition has none of its own, and its folder lies in its disk's.
  return readNumber(`${device}/queue/read_ahead_kb`) ?? readNumber(`${device}/../queue/read_ahead_kb`);
}

/**
 * How many KiB the kernel reads ahead in the files of a file system without a disk of its own, by a path in it; undefined
 * where it has a disk, or cannot be asked for its name (before Linux 6.10, without sysfs).
 */
export function filesystemReadAhead(path: string): number | undefined {
  const file = readAheadFile(path);
  return file === undefined ? undefined : readNumber(file);
}

/** Sets what {@link filesystemReadAhead} gives, for files opened from now on. @returns false where that cannot be done. */
export function setFilesystemReadAhead(path: string, kibibytes: number): boolean {
  try {
    const file = readAheadFile(path);
    if (file === undefined) return false;
    writeFileSync(file, String(kibibytes), { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}

/** The file system's name in /sys/fs is also that of its backing device information (super_setup_bdi in the kernel). */
function readAheadFile(path: string): string | undefined {
  const name = Buffer.alloc(pathBytes);
  if (withOpen(path, (fd) => ioctl(fd, getSysfsPath, name)) < 0) return undefined;
  const [, instance] = name.toString('latin1', 1, 1 + name.readUInt8(0)).split('/');
  return instance ? join('/sys/class/bdi', instance, 'read_ahead_kb') : undefined;
}

function withOpen<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

function readNumber(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
