import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { declare } from '../../src/linux/index.ts';
import { checkAfter } from './check-after.ts';

const writer = join(import.meta.dirname, 'crash-writer.ts');
const shutdownRequest = 0x8004587d;
const withoutFlush = 2;

/** Stops a file system as if the power went: nothing more reaches the disk, not even its own log (FS_IOC_SHUTDOWN). */
function cutPower(mountPoint: string): void {
  const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
    'int ioctl(int fd, unsigned long request, void *argument)',
  );
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(withoutFlush);
  const fd = openSync(mountPoint, 'r');
  try {
    assert.equal(ioctl(fd, shutdownRequest, flags), 0, 'FS_IOC_SHUTDOWN failed');
  } finally {
    closeSync(fd);
  }
}

/** Runs the writer on its own file system and cuts the power when it has printed so many lines. */
async function cutAfter(lineCount: number): Promise<void> {
  const folder = mkdtempSync('/var/tmp/varve-power-');
  const image = join(folder, 'image');
  const root = join(folder, 'root');
  mkdirSync(root);
  writeFileSync(image, '');
  truncateSync(image, 128 * 1024 * 1024);
  execFileSync('mkfs.ext4', ['-q', '-F', image], { stdio: 'ignore' });
  const mount = (disk: string): void => void execFileSync('mount', ['-o', 'loop', disk, root]);
  const unmount = (): void => void execFileSync('umount', [root]);
  mount(image);
  try {
    const child = spawn(process.execPath, [writer, root], { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = once(child, 'exit');
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      // What is said after the cut is said of a disk that is gone.
      if (lines.length < lineCount) lines.push(line);
      if (lines.length === lineCount) {
        cutPower(root);
        child.kill('SIGKILL');
        break;
      }
    }
    await ended;
    unmount();
    // A mount namespace made meanwhile may still hold the dead file system, and mounting the same image would give
    // that one again. A copy of the disk has its bytes and no such past.
    const copy = join(folder, 'copy');
    execFileSync('cp', ['--sparse=always', image, copy]);
    mount(copy);
    assert.equal(lines.length, lineCount);
    await checkAfter(root, lines);
  } finally {
    unmount();
    rmSync(folder, { recursive: true });
  }
}

const skip =
  process.getuid?.() !== 0 || !existsSync('/usr/sbin/mkfs.ext4') ? 'needs root and mkfs.ext4' : false;

describe('a content store whose power is cut', { skip }, () => {
  for (const lineCount of [1, 2, 3, 5, 8]) {
    test(`has all it promised before, after ${lineCount} promises`, async () => {
      await cutAfter(lineCount);
    });
  }
});
