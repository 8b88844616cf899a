import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import {
  diskReadAhead,
  filesystemReadAhead,
  type MountEntry,
  mountsBelow,
  unmount,
} from '../../../linux/index.ts';
import { type ChainID, chainId, digestOf } from '../../../oci/index.ts';
import { type DriverUnderTest, makeTar, Rig, testDriver } from '../../testing/index.ts';
import { ErofsDriver } from './erofs.ts';

const under: DriverUnderTest = {
  name: 'erofs',
  create: (root) => new ErofsDriver(root),
  module: new URL('./erofs.ts', import.meta.url),
  exported: 'ErofsDriver',
  renamesLowerFolders: false,
  keepsSizes: true,
};

testDriver(under);

const indexes = (rig: Rig): MountEntry[] => mountsBelow(rig.folder).filter(({ type }) => type === 'erofs');

test('keeps the uncompressed tar byte for byte, and nothing else of the layer', async () => {
  await using rig = new Rig(under);
  const tar = makeTar([
    { name: 'a/', type: '5' },
    { name: 'a/file', content: 'x'.repeat(3000) },
  ]);
  const path = rig.path();
  writeFileSync(path, gzipSync(tar));
  const diffId = digestOf(tar);
  const chain = chainId(undefined, diffId);
  await rig.driver.apply({ chainId: chain, parent: undefined, diffId, path, compression: 'gzip' });
  const [id] = readdirSync(rig.folder).filter((name) => name.length === 64);
  const own = join(rig.folder, id ?? '');
  assert.deepEqual(readdirSync(own).sort(), ['diff', 'diff.tar', 'index.erofs', 'snapshot.json']);
  assert.deepEqual(readdirSync(join(own, 'diff')), []);
  const hash = createHash('sha256')
    .update(readFileSync(join(own, 'diff.tar')))
    .digest('hex');
  assert.equal(`sha256:${hash}`, diffId);
});

test('stacks share the mounts of their layers; the last one takes them along', async () => {
  await using rig = new Rig(under);
  const base = await rig.apply(undefined, [{ name: 'base' }]);
  const left = await rig.apply(base, [{ name: 'left' }]);
  const right = await rig.apply(base, [{ name: 'right' }]);
  await rig.driver.prepare('one', left);
  await rig.driver.prepare('two', right);
  await Promise.all([rig.driver.mount('one'), rig.driver.mount('two'), rig.driver.mount(left)]);
  assert.equal(indexes(rig).length, 3);
  await rig.driver.unmount('one');
  assert.equal(indexes(rig).length, 3);
  await rig.driver.unmount(left);
  assert.equal(indexes(rig).length, 2);
  await rig.reopen();
  assert.deepEqual(await rig.driver.recover(), []);
  assert.equal(indexes(rig).length, 2, 'a new process knows which stacks stand');
  await rig.driver.unmount('two');
  assert.deepEqual(mountsBelow(rig.root), []);
});

test('reads ahead in a layer as on the disk it lies on, within bounds', async (context) => {
  await using rig = new Rig(under);
  const base = await rig.apply(undefined, [{ name: 'base' }]);
  await rig.driver.mount(base);
  const [layer] = indexes(rig);
  const ahead = (): number | undefined => filesystemReadAhead(layer?.target ?? '');
  if (ahead() === undefined) return context.skip('this kernel does not tell (Linux 6.10)');
  const wanted = Math.min(Math.max(diskReadAhead(rig.folder) ?? 128, 128), 512);
  // Soon after the mount, which does not wait for it.
  for (const deadline = Date.now() + 10_000; ahead() !== wanted && Date.now() < deadline; ) await sleep(5);
  assert.equal(ahead(), wanted);
});

test('mounts again what an administrator unmounted', async () => {
  await using rig = new Rig(under);
  const base = await rig.apply(undefined, [{ name: 'base' }]);
  const top = await rig.apply(base, [{ name: 'top' }]);
  await rig.driver.prepare('box', top);
  const root = await rig.driver.mount('box');
  for (const { target } of mountsBelow(rig.folder).reverse()) unmount(target, { detach: true });
  assert.equal(await rig.driver.mount('box'), root);
  assert.deepEqual(readdirSync(root).sort(), ['base', 'top']);
  await rig.driver.unmount('box');
  await rig.driver.unmount('box');
  assert.deepEqual(mountsBelow(rig.root), []);
});

test('many stacks come and go at once, and nothing stays mounted', async () => {
  await using rig = new Rig(under);
  let top: ChainID | undefined;
  for (let i = 0; i < 5; i++) top = await rig.apply(top, [{ name: `dir/${i}`, content: String(i) }]);
  await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      await rig.driver.prepare(`box ${i}`, top);
      const names = await rig.within(`box ${i}`, (root) => readdirSync(join(root, 'dir')));
      assert.deepEqual(names.sort(), ['0', '1', '2', '3', '4']);
      assert.deepEqual(await rig.changes(`box ${i}`), []);
      await rig.driver.remove(`box ${i}`);
    }),
  );
  assert.deepEqual(mountsBelow(rig.root), []);
});

test('a layer on different ones below has one archive, which goes with the last of them', async () => {
  await using rig = new Rig(under);
  const [left, right] = [
    await rig.apply(undefined, [{ name: 'left' }]),
    await rig.apply(undefined, [{ name: 'right' }]),
  ];
  const entries = [{ name: 'dir/new', content: 'n'.repeat(50_000) }, { name: '.wh.left' }];
  const [first, second] = await Promise.all([rig.apply(left, entries), rig.apply(right, entries)]);
  const archives = (): number[] =>
    readdirSync(rig.folder)
      .filter((name) => name.length === 64)
      .map((name) => statSync(join(rig.folder, name, 'diff.tar')))
      .filter(({ size }) => size > 50_000)
      .map(({ ino }) => ino);
  assert.equal(archives().length, 2);
  assert.equal(new Set(archives()).size, 1);
  const usages = [await rig.driver.usage(first), await rig.driver.usage(second)];
  assert.equal(usages.filter(({ bytes }) => bytes > 50_000).length, 1, 'counted once');
  assert.equal(usages[0]?.contentBytes, usages[1]?.contentBytes);
  assert.deepEqual(await rig.within(first, (root) => readdirSync(root)), ['dir']);
  assert.deepEqual((await rig.within(second, (root) => readdirSync(root))).sort(), ['dir', 'right']);
  const owner = (usages[0]?.bytes ?? 0) > 50_000 ? first : second;
  const other = owner === first ? second : first;
  await rig.driver.remove(owner);
  assert.ok((await rig.driver.usage(other)).bytes > 50_000);
  assert.equal(await rig.within(other, (root) => readFileSync(join(root, 'dir/new'), 'utf8').length), 50_000);
});

/** Loop devices over files below a folder. */
function loopsOf(folder: string): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .filter((name) => {
      const file = `/sys/block/${name}/loop/backing_file`;
      return existsSync(file) && readFileSync(file, 'utf8').startsWith(folder);
    });
}

const overLoops: DriverUnderTest = {
  ...under,
  create: (root) => new ErofsDriver(root, [['erofs.backing', 'loop']]),
};

for (const [what, how, folder] of [
  ['on a disk, when told to', overLoops, '/var/tmp'],
  ['on tmpfs, whose files cannot be mounted', under, '/dev/shm'],
] as const) {
  test(`mounts layers over loop devices ${what}, and leaves none`, async () => {
    await using rig = new Rig(how, folder);
    mkdirSync(rig.snapshots);
    assert.deepEqual(await rig.driver.probe(), { ok: true });
    const base = await rig.apply(undefined, [
      { name: 'base', content: 'b'.repeat(100_000) },
      { name: 'gone' },
    ]);
    const top = await rig.apply(base, [{ name: 'top', content: 'top' }, { name: '.wh.gone' }]);
    await rig.driver.prepare('one', top);
    await rig.driver.prepare('two', top);
    const root = await rig.driver.mount('one');
    await rig.driver.mount('two');
    assert.equal(loopsOf(rig.folder).length, 4, 'two files of two layers');
    assert.deepEqual(readdirSync(root).sort(), ['base', 'top']);
    assert.equal(readFileSync(join(root, 'base'), 'utf8'), 'b'.repeat(100_000));
    writeFileSync(join(root, 'new'), 'new');
    assert.deepEqual(await rig.changes('one'), ['A /new']);
    await rig.driver.unmount('one');
    assert.equal(loopsOf(rig.folder).length, 4);
    await rig.reopen();
    await rig.driver.unmount('two');
    // A device lets go of its file shortly after the last unmount.
    for (let tries = 0; loopsOf(rig.root).length > 0 && tries < 1000; tries++) await sleep(10);
    assert.deepEqual(loopsOf(rig.root), []);
    assert.deepEqual(mountsBelow(rig.root), []);
  });
}

test('says that files of tmpfs cannot be mounted, when loop devices are not wanted', async () => {
  await using rig = new Rig(under, '/dev/shm');
  mkdirSync(rig.snapshots);
  const probe = await new ErofsDriver(rig.snapshots, [['erofs.backing', 'files']]).probe();
  assert.ok(!probe.ok);
  assert.match(
    probe.reason,
    /^EROFS cannot be mounted from files on tmpfs here; it takes Linux 6\.12 .* and a disk/,
  );
  assert.deepEqual(readdirSync(rig.snapshots), []);
});
