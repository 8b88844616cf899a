import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  createSubvolume,
  enableBtrfsQuota,
  FilesystemSync,
  filesystemName,
  subvolumeInode,
} from '../../../linux/index.ts';
import { BtrfsDisk } from '../../../linux/testing/index.ts';
import { type DriverUnderTest, Rig, testDriver } from '../../testing/index.ts';
import { BtrfsDriver } from './btrfs.ts';

const disk = new BtrfsDisk(2048);
const release = (): void => disk[Symbol.dispose]();
process.once('exit', release);
after(() => {
  process.off('exit', release);
  release();
});

const under: DriverUnderTest = {
  name: 'btrfs',
  create: (root) => new BtrfsDriver(root),
  module: new URL('./btrfs.ts', import.meta.url),
  exported: 'BtrfsDriver',
  renamesLowerFolders: true,
  keepsSizes: true,
  folder: disk.path,
  disk: () => new BtrfsDisk(128),
};

testDriver(under);

const mebibyte = 1 << 20;

test('the disk of the power cuts forgets what was not synced', async () => {
  using own = new BtrfsDisk(128);
  const at = (name: string): string => join(own.path, name);
  writeFileSync(at('synced'), 'x');
  {
    using filesystem = new FilesystemSync(own.path);
    await filesystem.sync();
  }
  writeFileSync(at('lost'), 'x');
  own.cut();
  assert.deepEqual(readdirSync(own.path), ['synced']);
});

test('says why it cannot run on another file system', async () => {
  await using rig = new Rig(under, '/var/tmp');
  const probe = await rig.driver.probe();
  assert.notEqual(filesystemName(rig.root), 'btrfs');
  assert.match(probe.ok ? '' : probe.reason, /^\/.*\/snapshots is on \w+, the btrfs driver needs btrfs$/);
  assert.ok(!existsSync(rig.snapshots));
});

test('every snapshot is a subvolume that shares its blocks with its parent', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, (root) =>
    writeFileSync(join(root, 'big'), Buffer.alloc(64 * mebibyte)),
  );
  const before = execFileSync('df', ['--output=used', '-B1', disk.path], { encoding: 'utf8' });
  for (let i = 0; i < 5; i++)
    await rig.active(`box-${i}`, base, (root) => writeFileSync(join(root, 'x'), ''));
  const root = rig.driver.metadata('box-0')['MergedDir'] ?? '';
  assert.equal(statSync(root, { bigint: true }).ino, subvolumeInode);
  using filesystem = new FilesystemSync(disk.path);
  await filesystem.sync();
  const used = (text: string): number => Number(text.split('\n')[1]);
  const grown =
    used(execFileSync('df', ['--output=used', '-B1', disk.path], { encoding: 'utf8' })) - used(before);
  assert.ok(grown < 8 * mebibyte, `five snapshots of 64 MiB took ${grown} bytes`);
});

test('a snapshot goes with the subvolumes that a container made in it', async () => {
  await using rig = new Rig(under);
  await rig.driver.prepare('box', undefined);
  const root = await rig.driver.mount('box');
  mkdirSync(join(root, 'a/b'), { recursive: true });
  await createSubvolume(join(root, 'a/b'), 'inner');
  writeFileSync(join(root, 'a/b/inner/file'), '');
  mkdirSync(join(root, 'a/b/inner/folder'));
  await createSubvolume(join(root, 'a/b/inner/folder'), 'innermost');
  await rig.driver.unmount('box');
  await rig.driver.remove('box');
  await rig.driver.close();
  assert.deepEqual(rig.leftovers(), []);
  const list = execFileSync('btrfs', ['subvolume', 'list', disk.path], { encoding: 'utf8' });
  assert.doesNotMatch(list, /inner/);
});

/** One file of a mebibyte after the other. */
function fill(root: string, mebibytes: number): void {
  for (let i = 0; i < mebibytes; i++) writeFileSync(join(root, `file-${i}`), Buffer.alloc(mebibyte, i));
}

const hasQuota = (path: string): boolean =>
  spawnSync('btrfs', ['qgroup', 'show', path], { stdio: 'ignore' }).status === 0;

test('turns quotas on for the first container with a size, which counts its image', async () => {
  using own = new BtrfsDisk(512);
  await using rig = new Rig(under, own.path);
  const base = await rig.commit(undefined, (root) =>
    writeFileSync(join(root, 'ten'), Buffer.alloc(10 * mebibyte, 1)),
  );
  assert.ok(!hasQuota(own.path));
  await rig.driver.prepare('box', base, { size: 50 * mebibyte });
  assert.ok(hasQuota(own.path));
  await rig.driver.prepare('free', base);
  await rig.within('box', (root) => fill(root, 25));
  await rig.within('box', (root) => {
    // EDQUOT has no name in Node.
    assert.throws(() => fill(root, 60), { errno: -122 });
    assert.ok(readdirSync(root).length < 45);
    assert.equal(readFileSync(join(root, 'file-1')).length, mebibyte);
  });
  await rig.within('free', (root) => fill(root, 60));
});

test('a snapshot takes what it shares with nobody, as quotas count it', async () => {
  using own = new BtrfsDisk(512);
  await using rig = new Rig(under, own.path);
  const base = await rig.commit(undefined, (root) => fill(root, 20));
  await rig.active('box', base, (root) => writeFileSync(join(root, 'mine'), Buffer.alloc(3 * mebibyte, 1)));
  const without = await rig.driver.usage('box');
  assert.ok(without.bytes > 22 * mebibyte, `${without.bytes} bytes without quotas`);
  using filesystem = new FilesystemSync(own.path);
  await filesystem.sync();
  await enableBtrfsQuota(own.path);
  const { bytes, contentBytes } = await rig.driver.usage('box');
  assert.equal(contentBytes, 3 * mebibyte);
  assert.ok(bytes >= 3 * mebibyte && bytes < 4 * mebibyte, `${bytes} bytes`);
});

test('btrfs.min_space turns quotas on and refuses smaller sizes', async () => {
  using own = new BtrfsDisk(256);
  await using rig = new Rig(
    { ...under, create: (root) => new BtrfsDriver(root, [['btrfs.min_space', '20m']]) },
    own.path,
  );
  assert.deepEqual(await rig.driver.probe(), { ok: true });
  assert.ok(hasQuota(own.path));
  await assert.rejects(rig.driver.prepare('box', undefined, { size: 19 * mebibyte }), {
    kind: 'invalid',
    message: 'btrfs: storage size cannot be less than 20.97MB',
  });
  await rig.driver.prepare('box', undefined, { size: 20 * mebibyte });
  assert.throws(() => new BtrfsDriver(rig.snapshots, [['btrfs.size', '1g']]), {
    message: 'btrfs: unknown option btrfs.size',
  });
});

test('a diff looks into no file that is as it was when the snapshot was taken', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, (root) => {
    for (let i = 0; i < 50; i++) {
      writeFileSync(join(root, `file-${i}`), Buffer.alloc(mebibyte / 4, i));
      // A whole second, as in images: to tell whether such a file is the same, its content would have to be read.
      utimesSync(join(root, `file-${i}`), 1_600_000_000, 1_600_000_000);
    }
  });
  // The snapshot is trusted for files older than a second.
  await delay(1100);
  await rig.active('box', base, (root) => {
    writeFileSync(join(root, 'file-7'), Buffer.alloc(mebibyte / 4, 77));
    utimesSync(join(root, 'file-7'), 1_600_000_000, 1_600_000_000);
  });
  const readBytes = (): number => Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  const before = readBytes();
  const path = rig.path();
  const { entries } = await rig.driver.diff('box', path, 'none');
  const read = readBytes() - before;
  assert.equal(entries, 1);
  assert.ok(read < 4 * mebibyte, `${read} bytes read for a diff of a quarter mebibyte`);
});
