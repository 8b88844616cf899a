import { constants, openSync } from 'node:fs';
import { result, type SysResult } from './errno.ts';
import { mountFilesystem } from './fs-context.ts';
import { declare, systemError } from './libc.ts';
import type { MountAttributes } from './mount.ts';

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

/** FUSE_DEV_IOC_BACKING_OPEN and _CLOSE of linux/fuse.h (Linux 6.9). */
const requests = { backingOpen: 0x4010_e501, backingClose: 0x4004_e502 } as const;

/**
 * A new connection to the kernel's FUSE, fuse(4): the file system lives as long as a process has this descriptor. Reading
 * it does not wait.
 * @throws VarveError with the errno's name as code.
 */
export function openFuse(): number {
  const path = '/dev/fuse';
  try {
    return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw systemError('open', path, -((error as NodeJS.ErrnoException).errno ?? 0));
  }
}

/**
 * Mounts the file system that whoever reads `connection` serves. Every user sees it and the kernel checks permissions by
 * mode and owner (`allow_other`, `default_permissions`). The first access waits until the server has answered.
 * @param subtype shown as `fuse.<subtype>`.
 */
export function mountFuse(
  connection: number,
  subtype: string,
  target: string,
  attributes: MountAttributes = {},
): void {
  mountFilesystem(
    'fuse',
    [
      ['source', subtype],
      ['subtype', subtype],
      ['fd', String(connection)],
      ['rootmode', '40000'],
      ['user_id', '0'],
      ['group_id', '0'],
      ['allow_other', true],
      ['default_permissions', true],
    ],
    target,
    attributes,
  );
}

/**
 * Lets the kernel read and write an open regular file itself; gives the number to answer an OPEN with.
 * -EPERM without CAP_SYS_ADMIN, -ELOOP when the file's own file system is stacked, -ENOTTY before Linux 6.9.
 */
export function openBacking(connection: number, fd: number): SysResult {
  // struct fuse_backing_map: fd, flags, padding.
  const map = Buffer.alloc(16);
  map.writeInt32LE(fd, 0);
  return result(ioctl(connection, requests.backingOpen, map));
}

/** Ends {@link openBacking}; files that are open stay so. */
export function closeBacking(connection: number, id: number): SysResult {
  const argument = Buffer.alloc(4);
  argument.writeUInt32LE(id);
  return result(ioctl(connection, requests.backingClose, argument));
}
