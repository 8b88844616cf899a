import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { check, setXattr } from '../../../linux/index.ts';
import { type ChainID, digestOf } from '../../../oci/index.ts';
import { asObject, type DriverUnderTest, Rig, type TestEntry, testDriver } from '../../testing/index.ts';
import { OverlayDriver } from './overlay.ts';

const under: DriverUnderTest = {
  name: 'overlay',
  create: (root) => new OverlayDriver(root),
  module: new URL('./overlay.ts', import.meta.url),
  exported: 'OverlayDriver',
  renamesLowerFolders: false,
  keepsSizes: true,
};

testDriver(under);

const base: readonly TestEntry[] = [
  { name: 'dir/', type: '5' },
  { name: 'dir/file', content: 'the parent', uid: 7, mode: 0o640, pax: { 'SCHILY.xattr.user.tag': 'old' } },
  { name: 'dir/twin', type: '1', linkname: 'dir/file' },
  { name: 'other', content: 'other' },
  { name: 'link', type: '2', linkname: 'other' },
];

/** Layers that say something of a file that is one inode with the parent's. */
const overwriting: Readonly<Record<string, readonly TestEntry[]>> = {
  'other content': [{ name: 'dir/file', content: 'the child, longer' }],
  'no content': [{ name: 'dir/file', content: '' }],
  'another mode': [{ name: 'dir/file', content: 'the parent', uid: 7, mode: 0o4777 }],
  'another owner': [{ name: 'dir/file', content: 'the parent', uid: 1234, gid: 5, mode: 0o640 }],
  'an attribute': [{ name: 'dir/file', content: 'the parent', pax: { 'SCHILY.xattr.user.tag': 'new' } }],
  'another time': [{ name: 'dir/file', content: 'the parent', mtime: 1 }],
  'a folder in its place': [{ name: 'dir/file/', type: '5', mode: 0o777 }],
  'a link in its place': [{ name: 'dir/file', type: '2', linkname: 'twin' }],
  'a whiteout': [{ name: 'dir/.wh.file' }],
  'an opaque folder': [{ name: 'dir/.wh..wh..opq' }, { name: 'dir/file', content: 'new' }],
  'another link target': [{ name: 'link', type: '2', linkname: 'dir' }],
  'a new name of it, then a file over that': [
    { name: 'new', type: '1', linkname: 'dir/file' },
    { name: 'new', mode: 0o777, uid: 9, content: 'mine' },
  ],
};

const inode = (path: string): number => lstatSync(path).ino;

describe('a file that image layers share', () => {
  test('is one file on disk', async () => {
    await using rig = new Rig(under);
    const bottom = await rig.apply(undefined, base);
    const top = await rig.apply(bottom, [{ name: 'new', content: 'new' }]);
    const [below, above] = [rootOf(rig, bottom), rootOf(rig, top)];
    for (const name of ['dir/file', 'dir/twin', 'other', 'link']) {
      assert.equal(inode(join(above, name)), inode(join(below, name)), name);
    }
    assert.notEqual(inode(join(above, 'dir')), inode(join(below, 'dir')));
    const { contentBytes, inodes } = await rig.driver.usage(top);
    assert.deepEqual({ contentBytes, inodes }, { contentBytes: 3, inodes: 3 });
  });

  for (const [what, entries] of Object.entries(overwriting)) {
    test(`is as it was in the parent after a layer brings ${what}`, async () => {
      await using rig = new Rig(under);
      const bottom = await rig.apply(undefined, base);
      const sibling = await rig.apply(bottom, [{ name: 'sibling' }]);
      const before = [await rig.list(bottom), await rig.list(sibling)].map(asObject);
      const top = await rig.apply(bottom, entries);
      assert.deepEqual([await rig.list(bottom), await rig.list(sibling)].map(asObject), before);
      assert.notDeepEqual(asObject(await rig.list(top)), before[0]);
      // The end of one of its holders is nothing to the others.
      await rig.driver.remove(top);
      await rig.driver.close();
      assert.deepEqual([await rig.list(bottom), await rig.list(sibling)].map(asObject), before);
    });
  }

  const actions: Readonly<Record<string, (path: string) => void>> = {
    'writes to': (path) => appendFileSync(path, 'more'),
    truncates: (path) => truncateSync(path, 1),
    'changes the mode of': (path) => chmodSync(path, 0o777),
    'changes the owner of': (path) => chownSync(path, 1, 2),
    'changes the times of': (path) => utimesSync(path, 1, 2),
    tags: (path) => void check(setXattr(path, 'user.tag', Buffer.from('mine')), 'setxattr', path),
    'links and then writes to': (path) => {
      linkSync(path, `${path}.2`);
      appendFileSync(`${path}.2`, 'more');
    },
    deletes: (path) => unlinkSync(path),
  };
  for (const [does, act] of Object.entries(actions)) {
    test(`is as it was in every layer after a container ${does} it and is committed`, async () => {
      await using rig = new Rig(under);
      const bottom = await rig.apply(undefined, base);
      const middle = await rig.apply(bottom, [{ name: 'new' }]);
      const before = [await rig.list(bottom), await rig.list(middle)].map(asObject);
      await rig.active('box', middle, (root) => act(join(root, 'dir/file')));
      const shown = asObject(await rig.list('box'));
      const top = digestOf('top');
      await rig.driver.commit('box', top);
      assert.deepEqual([await rig.list(bottom), await rig.list(middle)].map(asObject), before);
      assert.deepEqual(asObject(await rig.list(top)), shown);
    });
  }
});

test('a commit makes a tree of the upper folder and of links, and leaves nothing else', async () => {
  await using rig = new Rig(under);
  const bottom = await rig.apply(undefined, base);
  await rig.active('box', bottom, (root) => {
    rmSync(join(root, 'dir'), { recursive: true });
    mkdirSync(join(root, 'dir'));
    writeFileSync(join(root, 'dir/fresh'), 'fresh');
  });
  const top = digestOf('top');
  await rig.driver.commit('box', top);
  const root = rootOf(rig, top);
  assert.deepEqual(readdirSync(join(root, '..')).sort(), ['root', 'snapshot.json']);
  assert.deepEqual(readdirSync(join(root, 'dir')), ['fresh']);
  assert.equal(inode(join(root, 'other')), inode(join(rootOf(rig, bottom), 'other')));
  assert.deepEqual(await rig.changes(top), ['C /dir', 'D /dir/file', 'A /dir/fresh', 'D /dir/twin']);
});

test('a commit that was cut off leaves the snapshot as it was, and recovery drops its part', async () => {
  await using rig = new Rig(under);
  const bottom = await rig.apply(undefined, base);
  await rig.active('box', bottom, (root) => appendFileSync(join(root, 'other'), ' changed'));
  const { UpperDir } = rig.driver.metadata('box');
  mkdirSync(join(UpperDir ?? '', '../root'));
  await rig.reopen();
  const [line, ...rest] = await rig.driver.recover();
  assert.match(line ?? '', /^dropped an unfinished commit/);
  assert.deepEqual(rest, []);
  const read = (root: string): string => readFileSync(join(root, 'other'), 'utf8');
  assert.equal(await rig.within('box', read), 'other changed');
  await rig.driver.commit('box', digestOf('top'));
  assert.equal(await rig.within(digestOf('top'), read), 'other changed');
});

test('a file that can have no more names is copied', async (t) => {
  await using rig = new Rig(under);
  const bottom = await rig.apply(undefined, base);
  const file = join(rootOf(rig, bottom), 'other');
  const names = rig.plainFolder();
  const isFull = (): boolean => {
    // ext4 takes 65,000, XFS and others far more.
    for (let i = 0; i < 66_000; i++) {
      try {
        linkSync(file, join(names, String(i)));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EMLINK');
        return true;
      }
    }
    return false;
  };
  if (!isFull()) {
    t.skip('this file system has no such limit');
    return;
  }
  const top = await rig.apply(bottom, [{ name: 'new' }]);
  const { ['/new']: _, ...rest } = asObject(await rig.list(top));
  assert.deepEqual(rest, asObject(await rig.list(bottom)));
  assert.notEqual(inode(join(rootOf(rig, top), 'other')), inode(file));
});

test('a container is one lower folder and an upper one', async () => {
  await using rig = new Rig(under);
  const bottom = await rig.apply(undefined, base);
  const top = await rig.apply(bottom, [{ name: 'new' }]);
  await rig.driver.prepare('box', top);
  const { LowerDir, UpperDir, WorkDir, MergedDir } = rig.driver.metadata('box');
  assert.equal(LowerDir, rootOf(rig, top));
  assert.equal(await rig.driver.mount('box'), MergedDir);
  assert.ok(UpperDir?.endsWith('/upper') && WorkDir?.endsWith('/work'));
  await rig.driver.unmount('box');
});

test('a container can be mounted below a data root with colons, commas and backslashes in its name', async () => {
  await using outer = new Rig(under);
  const odd = join(outer.root, 'a:b,c\\d');
  mkdirSync(odd);
  await using rig = new Rig(under, odd);
  await rig.active('box', await rig.apply(undefined, base), (root) => writeFileSync(join(root, 'mine'), ''));
  assert.deepEqual(await rig.changes('box'), ['A /mine']);
});

function rootOf(rig: Rig, key: ChainID): string {
  const { RootDir } = rig.driver.metadata(key);
  assert.ok(RootDir, key);
  return RootDir;
}
