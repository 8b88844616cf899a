import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { getXattr, mountFilesystem, mountsBelow, unmount } from '../../../linux/index.ts';
import { asObject, type DriverUnderTest, listTree, Rig, testDriver } from '../../testing/index.ts';
import { Overlay2Driver } from './overlay2.ts';

const under: DriverUnderTest = {
  name: 'overlay2',
  create: (root) => new Overlay2Driver(root),
  module: new URL('./overlay2.ts', import.meta.url),
  exported: 'Overlay2Driver',
  renamesLowerFolders: false,
  keepsSizes: true,
};

testDriver(under);

test('mounts without index, redirects and metacopy, whatever the kernel does by itself', async () => {
  await using rig = new Rig(under);
  const base = await rig.apply(undefined, [
    { name: 'dir/', type: '5' },
    { name: 'dir/file', content: 'x' },
  ]);
  await rig.driver.prepare('box', base);
  const root = await rig.driver.mount('box');
  const { UpperDir = '' } = rig.driver.metadata('box');
  assert.throws(() => renameSync(join(root, 'dir'), join(root, 'moved')), { code: 'EXDEV' });
  chmodSync(join(root, 'dir/file'), 0o600);
  assert.equal(getXattr(join(UpperDir, 'dir/file'), 'trusted.overlay.metacopy') instanceof Buffer, false);
  const options = mountsBelow(root)[0]?.superOptions ?? '';
  assert.doesNotMatch(options, /index=on|redirect_dir=on|metacopy=on|volatile|userxattr/);
  await rig.driver.unmount('box');
});

test('an upper folder that holds references is compared with its parent, not taken for a diff', async () => {
  await using rig = new Rig(under);
  const bottom = await rig.apply(undefined, [
    { name: 'dir/', type: '5', mode: 0o711 },
    { name: 'dir/a', content: 'in a folder that moves' },
    { name: 'dir/deep/', type: '5' },
    { name: 'dir/deep/b', content: 'deeper' },
    { name: 'file', content: 'whose mode alone changes' },
  ]);
  const base = await rig.apply(bottom, [{ name: 'dir/c', content: 'from a second layer' }]);
  await rig.driver.prepare('box', base);
  const { LowerDir = '', UpperDir = '', WorkDir = '' } = rig.driver.metadata('box');
  const target = rig.plainFolder();
  mountFilesystem(
    'overlay',
    [
      ...LowerDir.split(':').map((lower) => ['lowerdir+', lower] as const),
      ['upperdir', UpperDir],
      ['workdir', WorkDir],
      ['metacopy', 'on'],
    ],
    target,
  );
  renameSync(join(target, 'dir'), join(target, 'moved'));
  rmSync(join(target, 'moved/a'));
  chmodSync(join(target, 'file'), 0o600);
  mkdirSync(join(target, 'new'));
  writeFileSync(join(target, 'new/file'), 'new');
  const shown = asObject(listTree(target));
  unmount(target);
  assert.ok(getXattr(join(UpperDir, 'moved'), 'trusted.overlay.redirect') instanceof Buffer);
  assert.ok(getXattr(join(UpperDir, 'file'), 'trusted.overlay.metacopy') instanceof Buffer);
  assert.deepEqual(await rig.changes('box'), [
    'D /dir',
    'C /file',
    'A /moved',
    'A /moved/c',
    'A /moved/deep',
    'A /moved/deep/b',
    'A /new',
    'A /new/file',
  ]);
  const { chain } = await rig.reapply('box');
  assert.deepEqual(asObject(await rig.list(chain)), shown);
  await rig.driver.close();
  assert.deepEqual(mountsBelow(rig.root), []);
  assert.deepEqual(rig.leftovers(), []);
});
