import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { checkAfter } from './check-after.ts';

const strace = '/usr/bin/strace';
const writer = join(import.meta.dirname, 'crash-writer.ts');

interface Run {
  readonly lines: readonly string[];
  readonly killed: boolean;
}

/** Runs the writer under strace, which hurts it at the chosen system call (on the file `path` of the root). */
async function run(root: string, inject: string, path?: string): Promise<Run> {
  const syscall = /^\w+/.exec(inject)?.[0] ?? '';
  const options = ['-f', '-o', '/dev/null', '-e', `trace=${syscall}`, '-e', `inject=${inject}`];
  if (path !== undefined) options.push('-P', join(root, path));
  return await new Promise((resolve, reject) => {
    execFile(
      strace,
      [...options, process.execPath, writer, root],
      // Counting system calls is per thread: with one thread for files the point is always the same.
      { env: { ...process.env, UV_THREADPOOL_SIZE: '1' }, timeout: 60_000 },
      (error, stdout, stderr) => {
        const lines = stdout.split('\n').filter((line) => line !== '');
        const killed = !lines.includes('end');
        if (killed && !(error?.signal === 'SIGKILL' || error?.code === 137))
          reject(new Error(`${inject}: ${stderr}`, { cause: error }));
        else resolve({ lines, killed });
      },
    );
  });
}

async function hurt(inject: string, path?: string): Promise<Run> {
  const root = mkdtempSync('/var/tmp/varve-crash-');
  try {
    const result = await run(root, inject, path);
    await checkAfter(root, result.lines);
    return result;
  } finally {
    rmSync(root, { recursive: true });
  }
}

const skip = existsSync(strace) ? false : `${strace} is not installed`;

describe('a content store', { skip }, () => {
  const points: readonly (readonly [syscall: string, counts: readonly number[]])[] = [
    ['rename', [1, 2, 3, 4, 7]],
    ['fsync', [1, 2, 3, 4, 5, 7, 12, 20]],
    ['unlink', [1, 2, 4]],
    ['ftruncate', [1]],
    ['pwrite64', [5, 20, 40]],
  ];
  for (const [syscall, counts] of points) {
    for (const count of counts) {
      test(`is whole after SIGKILL at ${syscall} number ${count}`, async () => {
        const { killed } = await hurt(`${syscall}:signal=KILL:when=${count}`);
        assert.ok(killed, `the writer makes fewer than ${count} calls of ${syscall} in one thread`);
      });
    }
  }

  const data = `content/ingest/${createHash('sha256').update('big 1').digest('hex').slice(0, 40)}/data`;

  test('passes a failed fsync on and drops the bytes', async () => {
    const { lines } = await hurt('fsync:error=EIO:when=1', data);
    assert.deepEqual(
      lines.filter((line) => !line.startsWith('have ')),
      ['failed EIO', 'end'],
    );
  });

  test('reports a full disk and goes on afterwards', async () => {
    const { lines } = await hurt('pwrite64:error=ENOSPC:when=2', data);
    assert.deepEqual(
      lines.filter((line) => !line.startsWith('have ')),
      ['failed NO_SPACE', 'end'],
    );
  });

  test('promises nothing that the database could not keep', async () => {
    const { lines } = await hurt('pwrite64:error=EIO:when=20', 'state.db-wal');
    assert.ok(
      lines.some((line) => line.startsWith('failed ')),
      lines.join('\n'),
    );
    assert.ok(lines.includes('end'));
  });
});
