import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { attachLoop } from './loop.ts';

/** Files that loop devices show, by device name. */
function backing(path: string): string | undefined {
  const file = `/sys/block/${path.slice('/dev/'.length)}/loop/backing_file`;
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

test('shows a file as a disk until it is closed, twice as the same', () => {
  const folder = mkdtempSync('/var/tmp/varve-loop-');
  try {
    const image = join(folder, 'image');
    writeFileSync(image, 'first bytes');
    truncateSync(image, 1 << 20);
    let path = '';
    {
      using device = attachLoop(image);
      ({ path } = device);
      assert.equal(backing(path), image);
      assert.equal(readFileSync(path).subarray(0, 11).toString(), 'first bytes');
      using again = attachLoop(image);
      assert.equal(again.path, path);
      const other = join(folder, 'other');
      writeFileSync(other, Buffer.alloc(1 << 20));
      using second = attachLoop(other, { readOnly: true });
      assert.notEqual(second.path, path);
      assert.throws(() => writeFileSync(second.path, 'x'), { code: 'EPERM' });
    }
    assert.equal(backing(path), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('lets go of the file when the process is killed', () => {
  const folder = mkdtempSync('/var/tmp/varve-loop-');
  try {
    const image = join(folder, 'image');
    writeFileSync(image, Buffer.alloc(1 << 20));
    const script = `
      import { attachLoop } from ${JSON.stringify(new URL('./loop.ts', import.meta.url).href)};
      globalThis.device = attachLoop(${JSON.stringify(image)});
      console.log(device.path);
      process.kill(process.pid, 'SIGKILL');`;
    const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.equal(signal, 'SIGKILL');
    assert.match(stdout, /^\/dev\/loop\d+$/m);
    assert.notEqual(backing(stdout.trim()), image);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
