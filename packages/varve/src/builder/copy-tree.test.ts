import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolders, TreeCopier } from './copy-tree.ts';
import { parseMode } from './file-mode.ts';
import { raw } from './raw-path.ts';
import { TestFolder } from './testing/folder.ts';
import { PathFilter } from './tree.ts';

const rules = { owner: { uid: 12, gid: 34 } };

async function copy(root: string, source: string, target: string, mode?: string): Promise<void> {
  const copier = new TreeCopier(raw(root), {
    ...rules,
    mode: mode === undefined ? undefined : parseMode(mode),
  });
  await copier.copy(raw(source), '', target, PathFilter.everything);
}

test('copies owners, modes, links, devices, times and attributes', async () => {
  using folder = new TestFolder();
  const source = folder.write({ 'f/setuid': 'x', 'f/plain': 'y' }, 'source');
  const root = folder.write({}, 'root');
  chmodSync(join(source, 'f/setuid'), 0o4711);
  linkSync(join(source, 'f/plain'), join(source, 'f/second'));
  symlinkSync('/anywhere', join(source, 'f/link'));
  execFileSync('mknod', [join(source, 'f/null'), 'c', '1', '3']);
  execFileSync('mkfifo', [join(source, 'f/fifo')]);
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'kept', join(source, 'f/plain')]);
  utimesSync(join(source, 'f/plain'), 1000, 1000.5);
  utimesSync(join(source, 'f'), 2000, 2000);
  await copy(root, source, 'out');
  const at = (name: string): string => join(root, 'out', name);
  const setuid = lstatSync(at('f/setuid'));
  assert.deepEqual([setuid.mode & 0o7777, setuid.uid, setuid.gid], [0o4711, 12, 34]);
  assert.equal(lstatSync(at('f/second')).ino, lstatSync(at('f/plain')).ino);
  assert.equal(lstatSync(at('f/plain')).mtimeMs, 1_000_500);
  assert.equal(lstatSync(at('f')).mtimeMs, 2_000_000);
  assert.equal(readlinkSync(at('f/link')), '/anywhere');
  assert.ok(lstatSync(at('f/fifo')).isFIFO());
  assert.deepEqual(
    [lstatSync(at('f/null')).isCharacterDevice(), lstatSync(at('f/null')).rdev],
    [true, lstatSync('/dev/null').rdev],
  );
  assert.equal(
    execFileSync('getfattr', ['--only-values', '-n', 'user.note', at('f/plain')]).toString(),
    'kept',
  );
});

test('merges into what is there and replaces files', async () => {
  using folder = new TestFolder();
  const source = folder.write({ 'd/new': 'new', 'd/both': 'new', file: 'file' }, 'source');
  const root = folder.write({ 'out/d/old': 'old', 'out/d/both': 'old', 'out/file/': '' }, 'root');
  chmodSync(join(root, 'out'), 0o700);
  await copy(root, source, 'out');
  const read = (name: string): string => readFileSync(join(root, 'out', name), 'utf8');
  assert.deepEqual(
    [read('d/new'), read('d/both'), read('d/old'), read('file')],
    ['new', 'new', 'old', 'file'],
  );
  assert.equal(statSync(join(root, 'out')).mode & 0o777, 0o700);
  assert.equal(statSync(join(root, 'out/d')).uid, 12);
});

test('goes through a link to a folder of the image, never out of it', async () => {
  using folder = new TestFolder();
  const source = folder.write({ 'lib/x.so': 'x', 'lib/sub/y.so': 'y', 'evil/z': 'z' }, 'source');
  const root = folder.write({ 'usr/lib/': '' }, 'root');
  symlinkSync('usr/lib', join(root, 'lib'));
  const outside = folder.write({}, 'outside');
  symlinkSync(outside, join(root, 'evil'));
  await copy(root, source, '');
  assert.equal(readlinkSync(join(root, 'lib')), 'usr/lib');
  assert.ok(existsSync(join(root, 'usr/lib/x.so')) && existsSync(join(root, 'usr/lib/sub/y.so')));
  assert.ok(!existsSync(join(outside, 'z')));
  assert.ok(existsSync(join(root, outside, 'z')));
});

test('replaces a link where a file is to be', async () => {
  using folder = new TestFolder();
  const source = folder.write({ file: 'new' }, 'source');
  const root = folder.write({ target: 'old' }, 'root');
  symlinkSync('target', join(root, 'file'));
  await copy(root, source, '');
  assert.ok(lstatSync(join(root, 'file')).isFile());
  assert.equal(readFileSync(join(root, 'target'), 'utf8'), 'old');
});

test('changes modes as --chmod asks', async () => {
  using folder = new TestFolder();
  const source = folder.write({ 'd/file': '' }, 'source');
  const root = folder.write({}, 'root');
  await copy(root, source, 'out', 'u=rwX,go=');
  assert.equal(statSync(join(root, 'out/d')).mode & 0o777, 0o700);
  assert.equal(statSync(join(root, 'out/d/file')).mode & 0o777, 0o600);
});

test('refuses to put a folder where a file is', async () => {
  using folder = new TestFolder();
  const source = folder.write({ 'd/file': '' }, 'source');
  const root = folder.write({ d: 'file' }, 'root');
  await assert.rejects(copy(root, source, ''), { message: 'cannot copy to non-directory: d' });
  assert.throws(() => makeFolders(raw(root), 'd/e', rules.owner), { code: 'NOT_A_FOLDER' });
});

test('makes missing folders with 0755, whatever the umask', () => {
  using folder = new TestFolder();
  const root = folder.write({}, 'root');
  mkdirSync(join(root, 'there'), { mode: 0o700 });
  makeFolders(raw(root), 'there/a/b', { uid: 5, gid: 6 });
  const show = (name: string): string => {
    const { mode, uid } = statSync(join(root, name));
    return `${(mode & 0o777).toString(8)} ${uid}`;
  };
  assert.deepEqual([show('there'), show('there/a'), show('there/a/b')], ['700 0', '755 5', '755 5']);
});
