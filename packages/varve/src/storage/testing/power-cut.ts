import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { declare, mountsBelow, systemError, unmount } from '../../linux/index.ts';

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);
/** EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number; 2: without writing the journal, as when power fails. */
const shutdownRequest = 0x8004587d;
const withoutFlush = 2;

/** A small disk whose power can be cut: what was not synced is gone. */
export interface TestDisk extends Disposable {
  /** Where it is mounted. */
  readonly path: string;
  /** Stops every write at once, and starts again from what had reached the disk. */
  cut(): void;
}

/** A small ext4 file system in a file. */
export class PowerCutDisk implements TestDisk {
  readonly #folder = mkdtempSync('/var/tmp/varve-disk-');

  constructor() {
    const image = join(this.#folder, 'image');
    writeFileSync(image, '');
    truncateSync(image, 128 << 20);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    mkdirSync(this.path);
    this.#mount();
  }

  get path(): string {
    return join(this.#folder, 'disk');
  }

  cut(): void {
    const fd = openSync(this.path, 'r');
    try {
      const how = Buffer.alloc(4);
      how.writeUInt32LE(withoutFlush);
      if (ioctl(fd, shutdownRequest, how) < 0) throw systemError('ioctl EXT4_IOC_SHUTDOWN', this.path);
    } finally {
      closeSync(fd);
    }
    this.#unmount(false);
    this.#mount();
  }

  [Symbol.dispose](): void {
    // Detached, so that a test that failed with a file open leaves nothing either.
    this.#unmount(true);
    rmSync(this.#folder, { recursive: true });
  }

  /** mount(8) makes the loop device and drops it with the mount. */
  #mount(): void {
    execFileSync('mount', ['-o', 'loop', join(this.#folder, 'image'), this.path]);
  }

  #unmount(detach: boolean): void {
    for (const { target } of mountsBelow(this.#folder).reverse()) unmount(target, { detach });
  }
}
