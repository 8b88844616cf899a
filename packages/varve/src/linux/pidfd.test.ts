import assert from 'node:assert/strict';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tryLock } from './file-data.ts';
import { copyDescriptor } from './pidfd.ts';
import { Poller } from './poll.ts';
import { closeFd, makePipe, run, spawn } from './process.ts';

test("a copy of another process's descriptor is the same open file, with its lock and its place", async () => {
  const folder = mkdtempSync('/var/tmp/varve-pidfd-');
  const path = join(folder, 'file');
  writeFileSync(path, 'first second');
  const file = openSync(path, 'r');
  const child = spawn('/bin/sleep', ['1000'], { stdio: ['null', 'null', 'null', file] });
  try {
    readSync(file, Buffer.alloc(6));
    assert.equal(tryLock(file), true);
    const copy = copyDescriptor(child.pid, 3);
    assert.equal(fstatSync(copy).ino, fstatSync(file).ino);
    closeSync(file);
    const rest = Buffer.alloc(6);
    readSync(copy, rest, 0, 6, null);
    assert.equal(rest.toString(), 'second');
    const other = openSync(path, 'r');
    assert.equal(tryLock(other), false, 'the copy keeps the lock');
    closeSync(other);
    closeFd(copy);
    assert.throws(() => copyDescriptor(child.pid, 99), { code: 'EBADF' });
  } finally {
    child.kill(9);
    await child.exited;
    rmSync(folder, { recursive: true });
  }
  assert.throws(() => copyDescriptor(child.pid, 3), { code: 'ESRCH' });
});

test('tells which of several descriptors can be read', () => {
  const pipes = [makePipe(), makePipe(), makePipe()];
  const poller = new Poller();
  for (const [read] of pipes) poller.add(read);
  const [first, second, third] = pipes as [
    readonly [number, number],
    readonly [number, number],
    readonly [number, number],
  ];
  writeFileSync(second[1], 'x');
  assert.deepEqual(poller.wait(), [second[0]]);
  closeFd(third[1]);
  assert.deepEqual(poller.wait(), [second[0], third[0]], 'an end is something to read');
  poller.remove(second[0]);
  assert.deepEqual(poller.wait(), [third[0]]);
  for (const fd of [...first, ...second, third[0]]) closeFd(fd);
});

test('a capability that is dropped is gone', async () => {
  const linux = new URL('./capabilities.ts', import.meta.url).href;
  const script = `const { dropCapabilities, ownCapabilities } = await import('${linux}');
    dropCapabilities(['CAP_SYS_RESOURCE', 'CAP_BPF']);
    process.stdout.write(ownCapabilities('effective').join());`;
  const { stdout, code } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  assert.equal(code, 0);
  const left = stdout.toString().split(',');
  assert.ok(left.includes('CAP_SYS_ADMIN'), left.join());
  assert.ok(!left.includes('CAP_SYS_RESOURCE') && !left.includes('CAP_BPF'), left.join());
});

test('a program that nobody needs to wait for keeps no process alive', async () => {
  const linux = new URL('./process.ts', import.meta.url).href;
  const script = `const { spawn } = await import('${linux}');
    process.stdout.write(String(spawn('/bin/sleep', ['1000'], { keepsAlive: false }).pid));`;
  const { stdout, code } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  assert.equal(code, 0);
  process.kill(Number(stdout.toString()), 'SIGKILL');
});
