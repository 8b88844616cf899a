import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { PowerCutDisk } from '../../src/linux/testing/index.ts';
import { checkAfter } from './check-after.ts';

const writer = join(import.meta.dirname, 'crash-writer.ts');

/** Runs the writer on its own file system and cuts the power when it has printed so many lines. */
async function cutAfter(lineCount: number): Promise<void> {
  using disk = new PowerCutDisk();
  const child = spawn(process.execPath, [writer, disk.path], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    // What is said after the cut is said of a disk that is gone.
    if (lines.length < lineCount) lines.push(line);
    if (lines.length === lineCount) {
      disk.stop();
      child.kill('SIGKILL');
      break;
    }
  }
  await ended;
  disk.restart();
  assert.equal(lines.length, lineCount);
  await checkAfter(disk.path, lines);
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
