import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import {
  type DeviceCommand,
  type DeviceNumber,
  type DeviceReply,
  decodeReply,
  encodeCommand,
  requestNumber,
} from './device-mapper-codec.ts';
import { check } from './errno.ts';
import { fileType } from './stat.ts';
import { makeDevice, mknodat } from './files.ts';
import { background, declare, lastErrno, systemError } from './libc.ts';

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

const folder = '/dev/mapper';
const controlPath = `${folder}/control`;
const firstBytes = 4096;
const mostBytes = 1 << 22;
const currentFolder = -100; // AT_FDCWD

/** The kernel's device mapper (`/dev/mapper/control`), which makes disks out of disks. No program is run. */
export class DeviceMapper implements Disposable {
  readonly #fd: number;
  #isOpen = true;

  /** @throws VarveError `unavailable` that says in one line what is missing. */
  constructor() {
    this.#fd = openControl();
  }

  /** On another thread: most commands wait for a disk. @throws VarveError with the errno's name as code. */
  async run(command: DeviceCommand): Promise<DeviceReply> {
    for (let size = firstBytes; ; size *= 4) {
      const buffer = encodeCommand(command, size);
      const { result, errno } = await background(ioctl, this.#fd, requestNumber(command.number), buffer);
      if (result < 0) throw failure(command, errno);
      const reply = decodeReply(buffer);
      if (!reply.isCut || size >= mostBytes) return reply;
    }
  }

  /** {@link DeviceMapper.run} on this thread, for steps between which nothing else of this process may run. */
  runSync(command: DeviceCommand): DeviceReply {
    const buffer = encodeCommand(command, firstBytes);
    if (ioctl(this.#fd, requestNumber(command.number), buffer) < 0) throw failure(command, lastErrno());
    return decodeReply(buffer);
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#fd);
  }
}

function failure({ call, name }: DeviceCommand, errno: number): VarveError {
  return systemError(`ioctl ${call}`, name, errno);
}

function openControl(): number {
  try {
    // Where kmod made the node, opening it loads the module.
    return openSync(controlPath, 'r+');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ENXIO') throw VarveError.from(error);
  }
  // "236 device-mapper", also without devtmpfs and udev. proc_misc(5)
  const minor = /^ *(\d+) device-mapper$/m.exec(readFileSync('/proc/misc', 'utf8'))?.[1];
  if (minor === undefined) {
    throw new VarveError(
      'unavailable',
      'NO_DEVICE_MAPPER',
      'this kernel has no device mapper (CONFIG_BLK_DEV_DM, module dm_mod)',
      { subject: controlPath, hint: 'load the modules with: modprobe -a dm_mod dm_thin_pool' },
    );
  }
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  rmSync(controlPath, { force: true });
  const mode = fileType.characterDevice | 0o600;
  check(mknodat(currentFolder, controlPath, mode, makeDevice(10, Number(minor))), 'mknod', controlPath);
  return openSync(controlPath, 'r+');
}

/** Where a device's node is. */
export function deviceNode(name: string): string {
  return `${folder}/${name}`;
}

/**
 * Makes the node of a device where udev has not done so.
 * @returns its path.
 */
export function makeDeviceNode(name: string, { major, minor }: DeviceNumber): string {
  const path = deviceNode(name);
  const device = makeDevice(major, minor);
  if (statSync(path, { throwIfNoEntry: false, bigint: true })?.rdev === device) return path;
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  rmSync(path, { force: true });
  check(mknodat(currentFolder, path, fileType.blockDevice | 0o600, device), 'mknod', path);
  return path;
}

/** Takes the node of a device that is gone away, or udev's link to where it was. */
export function removeDeviceNode(name: string): void {
  rmSync(deviceNode(name), { force: true });
}
