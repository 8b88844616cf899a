import assert from 'node:assert/strict';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bytes, raw } from './raw-path.ts';
import { TestFolder } from './testing/folder.ts';
import { PathFilter, walkTree } from './tree.ts';

function names(root: string, top: string, patterns: readonly string[]): string[] {
  return [...walkTree(raw(root), top, new PathFilter(patterns))].map(({ path }) => path);
}

test('walks in byte order and does not follow links', () => {
  using folder = new TestFolder();
  const root = folder.write({ 'b/x': '', 'a/y': '', 'a-b': '', c: '' });
  symlinkSync('b', join(root, 'link'));
  assert.deepEqual(names(root, '', []), ['', 'a', 'a/y', 'a-b', 'b', 'b/x', 'c', 'link']);
});

test('leaves out what the patterns ignore and keeps the folders of what they take back', () => {
  using folder = new TestFolder();
  const root = folder.write({ 'a/keep/f': '', 'a/other/f': '', 'b/f': '', 'keep.txt': '', 'x.log': '' });
  assert.deepEqual(names(root, '', ['a', '!a/keep', '*.log']), [
    '',
    'a',
    'a/keep',
    'a/keep/f',
    'b',
    'b/f',
    'keep.txt',
  ]);
  assert.deepEqual(names(root, '', ['**', '!**/keep/f']), ['', 'a', 'a/keep', 'a/keep/f']);
  assert.deepEqual(names(root, 'a', ['a/other']), ['', 'keep', 'keep/f']);
  assert.deepEqual(names(root, 'a', ['*/other']), ['', 'keep', 'keep/f']);
});

test('keeps names that are not UTF-8', () => {
  using folder = new TestFolder();
  writeFileSync(bytes(`${raw(folder.path)}/\xff\xfe`), '');
  assert.deepEqual(names(folder.path, '', []), ['', '\xff\xfe']);
});
