import { closeSync, constants, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { check, declare, errno, punchHole, systemError } from '../../linux/index.ts';

/** Ways to write that go past write(2) on a name. */

const libc = {
  mmap: declare<
    (address: null, length: number, protection: number, flags: number, fd: number, offset: number) => number
  >('intptr_t mmap(void *address, size_t length, int protection, int flags, int fd, long offset)'),
  memcpy: declare<(to: number, from: Buffer, length: number) => void>(
    'void memcpy(intptr_t to, const void *from, size_t length)',
  ),
  munmap: declare<(address: number, length: number) => number>('int munmap(intptr_t address, size_t length)'),
  linkat: declare<(from: number, name: string, to: number, path: string, flags: number) => number>(
    'int linkat(int from, const char *name, int to, const char *path, int flags)',
  ),
};

const readAndWrite = 1 | 2; // PROT_READ | PROT_WRITE
const shared = 1; // MAP_SHARED
const currentFolder = -100; // AT_FDCWD
const followLink = 0x400; // AT_SYMLINK_FOLLOW
const temporaryFile = 0o20200000; // O_TMPFILE

/** mmap(2): writes over the start of a file through shared memory. The file must be as long as `bytes`. */
export function writeMapped(path: string, bytes: Buffer): void {
  const fd = openSync(path, 'r+');
  try {
    const address = libc.mmap(null, bytes.length, readAndWrite, shared, fd, 0);
    if (address === -1) throw systemError('mmap', path);
    libc.memcpy(address, bytes, bytes.length);
    if (libc.munmap(address, bytes.length) < 0) throw systemError('munmap', path);
  } finally {
    closeSync(fd);
  }
}

/** Puts a file that was made without a name (O_TMPFILE) in place of another; by a plain name where there are none. */
export function replaceByUnnamed(path: string, content: string): void {
  const next = `${path}.next`;
  const fd = openUnnamed(dirname(path));
  if (fd === undefined) {
    writeFileSync(next, content, { mode: 0o640 });
  } else {
    writeSync(fd, content);
    const done = libc.linkat(currentFolder, `/proc/self/fd/${fd}`, currentFolder, next, followLink);
    if (done < 0) throw systemError('linkat', next);
    closeSync(fd);
  }
  renameSync(next, path);
}

function openUnnamed(folder: string): number | undefined {
  try {
    return openSync(folder, temporaryFile | constants.O_RDWR, 0o640);
  } catch (error) {
    if (['EOPNOTSUPP', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Makes a stretch of a file read as zeros: a hole where the file system makes some. */
export function zero(path: string, offset: number, length: number): void {
  const fd = openSync(path, 'r+');
  try {
    const done = punchHole(fd, offset, length);
    if (done === -errno.EOPNOTSUPP) writeSync(fd, Buffer.alloc(length), 0, length, offset);
    else check(done, 'fallocate', path);
  } finally {
    closeSync(fd);
  }
}
