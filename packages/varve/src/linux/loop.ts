import { closeSync, constants, existsSync, openSync, readdirSync, statSync } from 'node:fs';
import { errno, result } from './errno.ts';
import { declare, systemError } from './libc.ts';

/*
 * Loop devices: files shown as disks. loop(4); the structures are those of the kernel's uapi linux/loop.h.
 */

const ioctl = declare<(fd: number, request: number, argument: Buffer | null) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

const control = '/dev/loop-control';
const requests = {
  /** LOOP_GET_STATUS64: struct loop_info64; ENXIO for a device that has no file. */
  status: 0x4c05,
  /** LOOP_CONFIGURE: struct loop_config (Linux 5.8). */
  configure: 0x4c0a,
  /** LOOP_CTL_GET_FREE: gives the number of a device without a file. */
  free: 0x4c82,
} as const;

const infoBytes = 232;
const configBytes = 304;
/** Of struct loop_info64: lo_flags and lo_file_name. */
const flagsOffset = 52;
const nameOffset = 56;
const nameBytes = 64;
/** Of struct loop_config: the struct loop_info64 in it. */
const infoOffset = 8;
const flags = { readOnly: 1, autoclear: 4 } as const;

/** A loop device; it loses its file when this is closed and nothing on it is mounted, or when the process dies. */
export interface LoopDevice extends Disposable {
  /** `/dev/loop3` */
  readonly path: string;
}

export interface LoopOptions {
  readonly readOnly?: boolean;
}

/** Another process may take the device between the asking and the taking. */
const attempts = 100;

/**
 * Shows a file as a disk. A file that has a device already gets that one: two file systems over one file would destroy it,
 * and what was mounted may live on in another mount namespace.
 * @throws VarveError with the errno's name as code; `ENOENT` where the kernel has no loop devices.
 */
export function attachLoop(file: string, options: LoopOptions = {}): LoopDevice {
  const open = options.readOnly ? constants.O_RDONLY : constants.O_RDWR;
  const backing = openSync(file, open);
  try {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const device = deviceOf(file, open) ?? takeFree(backing, file, open);
      if (device) return device;
    }
    throw systemError('ioctl LOOP_CONFIGURE', file, errno.EBUSY);
  } finally {
    closeSync(backing);
  }
}

/** The device that shows a file already. */
function deviceOf(file: string, open: number): LoopDevice | undefined {
  const { dev, ino } = statSync(file, { bigint: true });
  for (const name of readdirSync('/sys/block')) {
    if (!name.startsWith('loop') || !existsSync(`/sys/block/${name}/loop`)) continue;
    const path = `/dev/${name}`;
    const fd = tryOpen(path, open);
    if (fd === undefined) continue;
    // lo_device, lo_inode. The open descriptor keeps the file on the device.
    const info = Buffer.alloc(infoBytes);
    const shows =
      ioctl(fd, requests.status, info) === 0 &&
      info.readBigUInt64LE(0) === dev &&
      info.readBigUInt64LE(8) === ino;
    if (shows) return opened(path, fd);
    closeSync(fd);
  }
  return undefined;
}

function tryOpen(path: string, open: number): number | undefined {
  try {
    return openSync(path, open);
  } catch {
    return undefined;
  }
}

function takeFree(backing: number, file: string, open: number): LoopDevice | undefined {
  const controlFd = openSync(control, constants.O_RDWR);
  let number: number;
  try {
    number = result(ioctl(controlFd, requests.free, null));
    if (number < 0) throw systemError('ioctl LOOP_CTL_GET_FREE', control, -number);
  } finally {
    closeSync(controlFd);
  }
  const path = `/dev/loop${number}`;
  const fd = openSync(path, open);
  const config = Buffer.alloc(configBytes);
  config.writeUInt32LE(backing, 0);
  const readOnly = open === constants.O_RDONLY ? flags.readOnly : 0;
  config.writeUInt32LE(flags.autoclear | readOnly, infoOffset + flagsOffset);
  // Only for people: what losetup(8) prints. The last byte stays zero.
  Buffer.from(file).copy(config, infoOffset + nameOffset, 0, nameBytes - 1);
  const done = result(ioctl(fd, requests.configure, config));
  if (done === 0) return opened(path, fd);
  closeSync(fd);
  if (done === -errno.EBUSY) return undefined;
  throw systemError('ioctl LOOP_CONFIGURE', path, -done);
}

function opened(path: string, fd: number): LoopDevice {
  let isOpen = true;
  return {
    path,
    [Symbol.dispose]: () => {
      if (!isOpen) return;
      isOpen = false;
      closeSync(fd);
    },
  };
}
