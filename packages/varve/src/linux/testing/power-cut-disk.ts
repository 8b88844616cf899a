import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { declare, mountsBelow, systemError, unmount } from '../index.ts';
import { makeDiskFolder, type TestDisk } from './test-disk.ts';

const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);
/** EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number; 2: without writing the journal, as when power fails. */
const shutdownRequest = 0x8004587d;
const withoutFlush = 2;

const kinds = {
  ext4: {
    mkfs: ['mkfs.ext4', '-q', '-F'],
    quota: ['-O', 'quota,project', '-E', 'quotatype=prjquota'],
    mount: 'loop',
    least: 16,
  },
  // A dead disk may still be mounted under the same UUID. A log that is too old is replayed all the same.
  xfs: { mkfs: ['mkfs.xfs', '-q', '-K'], quota: [], mount: 'loop,nouuid', least: 300 },
} as const;

export interface PowerCutDiskOptions {
  readonly type?: keyof typeof kinds;
  /** Of 1,048,576 bytes; the file has holes. XFS is never smaller than 300. */
  readonly mebibytes?: number;
  /** Keeps projects to limits; the kernel needs XFS_QUOTA, or for ext4 QFMT_V2. */
  readonly projectQuota?: boolean;
}

/** A small file system in a file. */
export class PowerCutDisk implements TestDisk {
  readonly #folder = makeDiskFolder();
  readonly #kind: (typeof kinds)[keyof typeof kinds];
  readonly #projectQuota: boolean;
  #images = 0;

  constructor({ type = 'ext4', mebibytes = 128, projectQuota = false }: PowerCutDiskOptions = {}) {
    this.#kind = kinds[type];
    this.#projectQuota = projectQuota;
    writeFileSync(this.#image, '');
    truncateSync(this.#image, Math.max(mebibytes, this.#kind.least) * 2 ** 20);
    const [program, ...flags] = this.#kind.mkfs;
    execFileSync(program, [...flags, ...(projectQuota ? this.#kind.quota : []), this.#image]);
    mkdirSync(this.path);
    this.#mount();
  }

  get path(): string {
    return join(this.#folder, 'disk');
  }

  /**
   * Goes on from a copy of what is on the disk now: a process that lives, or a mount namespace, may still hold the dead
   * file system, and mounting the same file would give that one again.
   */
  cut(): void {
    this.stop();
    this.restart();
  }

  /** The first half of a cut: from now on nothing reaches the disk, and everything fails. */
  stop(): void {
    const fd = openSync(this.path, 'r');
    try {
      const how = Buffer.alloc(4);
      how.writeUInt32LE(withoutFlush);
      if (ioctl(fd, shutdownRequest, how) < 0) throw systemError('ioctl FS_IOC_SHUTDOWN', this.path);
    } finally {
      closeSync(fd);
    }
  }

  /** The second half: mounts what had reached the disk. */
  restart(): void {
    this.#unmount();
    const before = this.#image;
    this.#images++;
    execFileSync('cp', ['--sparse=always', before, this.#image]);
    rmSync(before);
    this.#mount();
  }

  [Symbol.dispose](): void {
    this.#unmount();
    rmSync(this.#folder, { recursive: true });
  }

  get #image(): string {
    return join(this.#folder, `image-${this.#images}`);
  }

  /** mount(8) makes the loop device and drops it with the mount. */
  #mount(): void {
    const options = [this.#kind.mount, ...(this.#projectQuota ? ['prjquota'] : [])].join(',');
    execFileSync('mount', ['-o', options, this.#image, this.path]);
  }

  /** Detached, so that a file that is still open does not matter. */
  #unmount(): void {
    for (const { target } of mountsBelow(this.#folder).reverse()) unmount(target, { detach: true });
  }
}
