import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FilesystemSync } from '../../../linux/index.ts';
import { BtrfsDisk, PowerCutDisk } from '../../../linux/testing/index.ts';
import { type DriverUnderTest, Rig, testDriver } from '../../testing/index.ts';
import { VfsDriver } from './vfs.ts';

const under: DriverUnderTest = {
  name: 'vfs',
  create: (root) => new VfsDriver(root),
  module: new URL('./vfs.ts', import.meta.url),
  exported: 'VfsDriver',
  renamesLowerFolders: true,
  keepsSizes: true,
};

testDriver(under);

const mebibyte = 2 ** 20;

async function usedBytes(path: string): Promise<number> {
  using filesystem = new FilesystemSync(path);
  await filesystem.sync();
  const text = execFileSync('df', ['--output=used', '-B1', path], { encoding: 'utf8' });
  return Number(text.split('\n')[1]);
}

/** Bytes of a file that lie in extents that others have too. filefrag(8) prints what FIEMAP says. */
function sharedBytes(path: string): number {
  const lines = execFileSync('filefrag', ['-v', '-b1', path], { encoding: 'utf8' }).split('\n');
  return lines
    .filter((line) => /\bshared\b/.test(line))
    .reduce(
      (sum, line) => sum + Number(/^\s*\d+:\s+\d+\.\.\s*\d+:\s+\d+\.\.\s*\d+:\s+(\d+):/.exec(line)?.[1]),
      0,
    );
}

for (const type of ['xfs', 'btrfs'] as const) {
  test(`copies share their blocks on ${type}`, async () => {
    using disk = type === 'xfs' ? new PowerCutDisk({ type, mebibytes: 512 }) : new BtrfsDisk(1024);
    await using rig = new Rig(under, disk.path);
    const content = Buffer.alloc(32 * mebibyte, 'content');
    const base = await rig.commit(undefined, (root) => writeFileSync(join(root, 'big'), content));
    const before = await usedBytes(disk.path);
    for (let i = 0; i < 4; i++) {
      await rig.active(`box-${i}`, base, (root) => {
        const fd = openSync(join(root, 'big'), 'r+');
        writeSync(fd, `written by ${i}`, 5 * mebibyte);
        closeSync(fd);
      });
    }
    const grown = (await usedBytes(disk.path)) - before;
    assert.ok(grown < 8 * mebibyte, `four copies of 32 MiB took ${grown} bytes`);
    const { MergedDir = '' } = rig.driver.metadata('box-0');
    const shared = sharedBytes(join(MergedDir, 'big'));
    assert.ok(shared > 30 * mebibyte && shared < 32 * mebibyte, `${shared} bytes are shared`);
    const [first, second] = [0, 1].map((i) => {
      const folder = rig.driver.metadata(`box-${i}`)['MergedDir'] ?? '';
      return readFileSync(join(folder, 'big'))
        .subarray(5 * mebibyte, 5 * mebibyte + 12)
        .toString();
    });
    assert.deepEqual([first, second], ['written by 0', 'written by 1']);
  });
}

test('copies keep hard links and holes', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, (root) => {
    const fd = openSync(join(root, 'holes'), 'w');
    writeSync(fd, 'start', 0);
    writeSync(fd, 'middle', 40 * mebibyte);
    ftruncateSync(fd, 100 * mebibyte);
    closeSync(fd);
    linkSync(join(root, 'holes'), join(root, 'again'));
  });
  await rig.driver.prepare('box', base);
  const { MergedDir = '' } = rig.driver.metadata('box');
  const [one, two] = ['holes', 'again'].map((name) => lstatSync(join(MergedDir, name)));
  assert.ok(one && two);
  assert.deepEqual([one.ino, one.nlink, one.size], [two.ino, 2, 100 * mebibyte]);
  assert.ok(one.blocks * 512 < mebibyte, `${one.blocks * 512} bytes on disk`);
  assert.equal(
    readFileSync(join(MergedDir, 'again'))
      .subarray(40 * mebibyte, 40 * mebibyte + 6)
      .toString(),
    'middle',
  );
});

test('takes a size for each container as an option, and no other', () => {
  assert.equal(new VfsDriver('/nowhere', [['size', '1g']]).defaultSize, 2 ** 30);
  assert.throws(() => new VfsDriver('/nowhere', [['vfs.size', '1g']]), {
    message: 'vfs: unknown option vfs.size',
  });
});
