import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import {
  bindMount,
  FilesystemSync,
  filesystemName,
  mountFilesystem,
  mountsBelow,
  parseMountinfo,
  setMountAttributes,
  unmount,
  unmountInBackground,
} from './index.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync('/var/tmp/varve-mount-');
  for (const name of ['one', 'two', 'up', 'work', 'm', 'with space\\and#']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'one/file'), 'one');
  writeFileSync(join(folder, 'two/file'), 'two');
});

afterEach(() => {
  for (const { target } of mountsBelow(folder).reverse()) unmount(target, { detach: true });
  rmSync(folder, { recursive: true });
});

const overlay = (...lowers: string[]): [string, string][] =>
  lowers.map((name) => ['lowerdir+', join(folder, name)]);

test('mounts an overlay option by option, the first lower on top', () => {
  mountFilesystem('overlay', overlay('two', 'one'), join(folder, 'm'), { readOnly: true });
  assert.equal(readFileSync(join(folder, 'm/file'), 'utf8'), 'two');
  assert.equal(filesystemName(join(folder, 'm')), 'overlayfs');
  assert.throws(() => writeFileSync(join(folder, 'm/new'), ''), { code: 'EROFS' });
});

test("gives the kernel's own words when a mount fails", () => {
  const file: [string, string] = ['lowerdir+', join(folder, 'one/file')];
  assert.throws(
    () => mountFilesystem('overlay', [file], join(folder, 'm')),
    /option lowerdir\+=.*one\/file at .*\/m: EINVAL \(overlay: .*one\/file is not a directory\)/,
  );
  assert.throws(() => mountFilesystem('nosuchfs', [], join(folder, 'm')), { code: 'ENODEV' });
  assert.deepEqual(mountsBelow(folder), []);
});

test('binds a folder read-only from the first instant and can make it writable later', () => {
  bindMount(join(folder, 'one'), join(folder, 'm'), { readOnly: true, propagation: 'private' });
  assert.throws(() => writeFileSync(join(folder, 'm/new'), ''), { code: 'EROFS' });
  setMountAttributes(join(folder, 'm'), { readOnly: false });
  writeFileSync(join(folder, 'm/new'), '');
  assert.equal(mountsBelow(folder)[0]?.propagation.length, 0);
});

test('lists mount points with blanks, backslashes and hashes in their names', () => {
  const target = join(folder, 'with space\\and#');
  bindMount(join(folder, 'one'), target);
  assert.deepEqual(
    mountsBelow(folder).map((entry) => entry.target),
    [target],
  );
});

test('reads every part of a mountinfo line, with and without optional fields', () => {
  const [one, two, ...rest] = parseMountinfo(
    '36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\n' +
      'broken line\n37 35 0:5 / /a\\040b ro - overlay over\\134lay rw\n',
  );
  assert.deepEqual(one, {
    id: 36,
    parent: 35,
    device: '98:0',
    root: '/mnt1',
    target: '/mnt2',
    options: ['rw', 'noatime'],
    propagation: ['shared:1', 'master:2'],
    type: 'ext3',
    source: '/dev/root',
    superOptions: 'rw,errors=continue',
  });
  assert.equal(two?.target, '/a b');
  assert.equal(two.source, 'over\\lay');
  assert.deepEqual(two.propagation, []);
  assert.deepEqual(rest, []);
});

test('unmounting what is not mounted says so, and what is busy is a conflict', async () => {
  const target = join(folder, 'm');
  assert.equal(unmount(target), false);
  assert.equal(await unmountInBackground(join(folder, 'missing')), false);
  bindMount(join(folder, 'one'), target);
  {
    using _open = new FilesystemSync(target);
    await assert.rejects(unmountInBackground(target), { kind: 'conflict', code: 'EBUSY' });
    assert.equal(await unmountInBackground(target, { detach: true }), true);
  }
  assert.deepEqual(mountsBelow(folder), []);
});

test('writes a file system back', async () => {
  using watch = new FilesystemSync(folder);
  await watch.sync();
});
