import { errno, result, type SysResult } from './errno.ts';
import { declare } from './libc.ts';

const libc = {
  lseek: declare<(fd: number, offset: number, whence: number) => number>(
    'int64_t lseek(int fd, int64_t offset, int whence)',
  ),
  copyFileRange: declare<
    (from: number, fromOffset: null, to: number, toOffset: null, length: number, flags: number) => number
  >(
    'long copy_file_range(int from, void *fromOffset, int to, void *toOffset, size_t length, unsigned int flags)',
  ),
  ioctl: declare<(fd: number, request: number, argument: number) => number>(
    'int ioctl(int fd, unsigned long request, long argument)',
  ),
  syncfs: declare<(fd: number) => number>('int syncfs(int fd)'),
  flock: declare<(fd: number, operation: number) => number>('int flock(int fd, int operation)'),
  fallocate: declare<(fd: number, mode: number, offset: number, length: number) => number>(
    'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
  ),
  ftruncate: declare<(fd: number, length: number) => number>('int ftruncate(int fd, int64_t length)'),
};

const cloneRequest = 0x4004_9409; // FICLONE

/** lseek(2) SEEK_DATA: where data starts at or after `offset`; -ENXIO when there is only a hole up to the end. */
export function seekData(fd: number, offset: number): SysResult {
  return result(libc.lseek(fd, offset, 3));
}

/** lseek(2) SEEK_HOLE: where the next hole starts; the file's end counts as one. */
export function seekHole(fd: number, offset: number): SysResult {
  return result(libc.lseek(fd, offset, 4));
}

/** copy_file_range(2) at both files' offsets; the bytes copied, 0 at the end. */
export function copyFileRange(from: number, to: number, length: number): SysResult {
  return result(libc.copyFileRange(from, null, to, null, length, 0));
}

/** ioctl_ficlone(2): makes `to` share all of `from`'s blocks. -EOPNOTSUPP or -EXDEV where the file system cannot. */
export function cloneFile(from: number, to: number): SysResult {
  return result(libc.ioctl(to, cloneRequest, from));
}

/** syncfs(2): flushes the file system that holds the open file. */
export function syncfs(fd: number): SysResult {
  return result(libc.syncfs(fd));
}

/** flock(2), exclusive, without waiting. False when another holds it; the lock ends with the last descriptor. */
export function tryLock(fd: number): boolean | SysResult {
  const done = result(libc.flock(fd, 2 | 4));
  return done === -errno.EWOULDBLOCK ? false : done < 0 ? done : true;
}

/** flock(2) LOCK_UN. */
export function unlock(fd: number): SysResult {
  return result(libc.flock(fd, 8));
}

/** fallocate(2); mode 0 reserves the blocks and grows the file. */
export function fallocate(fd: number, offset: number, length: number, mode = 0): SysResult {
  return result(libc.fallocate(fd, mode, offset, length));
}

/** fallocate(2) FALLOC_FL_PUNCH_HOLE: frees the blocks, which read as zeros; the file keeps its size. */
export function punchHole(fd: number, offset: number, length: number): SysResult {
  return result(libc.fallocate(fd, 1 | 2, offset, length));
}

/** ftruncate(2): what is grown is a hole. */
export function ftruncate(fd: number, length: number): SysResult {
  return result(libc.ftruncate(fd, length));
}
