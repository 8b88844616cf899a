import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type MountEntry, mountsBelow, unmount } from '../../../linux/index.ts';
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

test('says that a data root on tmpfs will not do', async () => {
  await using rig = new Rig(under, '/dev/shm');
  mkdirSync(rig.snapshots);
  const probe = await rig.driver.probe();
  assert.ok(!probe.ok);
  assert.match(
    probe.reason,
    /is on tmpfs, from which EROFS cannot be mounted; choose a data root on a disk$/,
  );
  assert.deepEqual(readdirSync(rig.snapshots), []);
});
