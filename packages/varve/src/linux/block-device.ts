import { closeSync, openSync } from 'node:fs';
import { background, declare, systemError } from './libc.ts';

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

/** Requests of uapi linux/fs.h. */
const requests = {
  /** BLKDISCARD: two u64, start and length in bytes. */
  discard: 0x1277,
  /** BLKGETSIZE64: a u64. */
  size: 0x8008_1272,
} as const;

/** Bytes of a disk. BLKGETSIZE64 */
export function diskSize(path: string): number {
  const fd = openSync(path, 'r');
  try {
    const size = Buffer.alloc(8);
    if (ioctl(fd, requests.size, size) < 0) throw systemError('ioctl BLKGETSIZE64', path);
    return Number(size.readBigUInt64LE());
  } finally {
    closeSync(fd);
  }
}

/**
 * Tells a disk that nothing on it is wanted any more, so that what lies under it can use the room. On another thread.
 * BLKDISCARD
 * @throws VarveError with the errno's name as code; `EOPNOTSUPP` where the disk cannot.
 */
export async function discardDisk(path: string): Promise<void> {
  const range = Buffer.alloc(16);
  range.writeBigUInt64LE(BigInt(diskSize(path)), 8);
  const fd = openSync(path, 'r+');
  try {
    const { result, errno } = await background(ioctl, fd, requests.discard, range);
    if (result < 0) throw systemError('ioctl BLKDISCARD', path, errno);
  } finally {
    closeSync(fd);
  }
}
