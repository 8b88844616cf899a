import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountsBelow, unmount } from '../index.ts';
import { makeDiskFolder, type TestDisk } from './test-disk.ts';

/** Seconds between the kernel's own commits: none may come while the disk is copied. */
const commitInterval = 600;

/** A btrfs file system in a file, mounted in a folder of its own, whose power can be cut. */
export class BtrfsDisk implements TestDisk {
  readonly #folder = makeDiskFolder();
  readonly #image = join(this.#folder, 'image');
  #device = '';

  /** @param mebibytes at least 110; the file has holes. */
  constructor(mebibytes: number) {
    writeFileSync(this.#image, '');
    truncateSync(this.#image, mebibytes * 2 ** 20);
    // On a small disk, data would take all chunks and leave none for metadata, for good.
    const layout = mebibytes < 1024 ? ['--mixed'] : ['--metadata', 'single'];
    execFileSync('mkfs.btrfs', ['--quiet', ...layout, '--nodiscard', this.#image], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    mkdirSync(this.path);
    this.#attach();
  }

  get path(): string {
    return join(this.#folder, 'disk');
  }

  /** Goes on from a copy of what is on the disk now. What the old one still writes when it is unmounted is lost. */
  cut(): void {
    const copy = `${this.#image}.cut`;
    copyFileSync(this.#image, copy);
    for (const { target } of mountsBelow(this.#folder).reverse()) unmount(target);
    this.#detach();
    rmSync(this.#image);
    execFileSync('mv', [copy, this.#image]);
    this.#attach();
  }

  [Symbol.dispose](): void {
    // Detached, so that a test that failed with a file open leaves nothing either.
    for (const { target } of mountsBelow(this.#folder).reverse()) unmount(target, { detach: true });
    this.#detach();
    rmSync(this.#folder, { recursive: true });
  }

  #attach(): void {
    const losetup = ['--find', '--show', this.#image];
    this.#device = execFileSync('losetup', losetup, { encoding: 'utf8' }).trim();
    const options = `commit=${commitInterval}`;
    execFileSync('mount', ['-t', 'btrfs', '-o', options, this.#device, this.path]);
  }

  #detach(): void {
    if (this.#device === '') return;
    // The kernel would refuse the copy, whose generation is older than that of the disk it remembers.
    try {
      execFileSync('btrfs', ['device', 'scan', '--forget', this.#device], { stdio: 'ignore' });
    } catch {
      // Still in use by a file that a failed test left open: the kernel forgets it with that.
    }
    execFileSync('losetup', ['--detach', this.#device]);
    this.#device = '';
  }
}
