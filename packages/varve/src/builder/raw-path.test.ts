import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { raw, resolveInside } from './raw-path.ts';
import { TestFolder } from './testing/folder.ts';

test('follows links only inside the root', () => {
  using folder = new TestFolder();
  const root = folder.write({ 'a/b/file': '', 'etc/passwd': '' });
  symlinkSync('/etc', join(root, 'absolute'));
  symlinkSync('../../../../..', join(root, 'a/up'));
  symlinkSync('b', join(root, 'a/relative'));
  symlinkSync('loop', join(root, 'loop'));
  const table = {
    'a/b/file': 'a/b/file',
    '/absolute/passwd': 'etc/passwd',
    'a/up/etc/passwd': 'etc/passwd',
    'a/up/../../etc': 'etc',
    'a/relative/file': 'a/b/file',
    'a/relative/../b': 'a/b',
    'not/there/../yet': 'not/yet',
    '../../etc': 'etc',
    '/': '',
  };
  for (const [path, expected] of Object.entries(table)) {
    assert.equal(resolveInside(raw(root), raw(path)), expected, path);
  }
  assert.throws(() => resolveInside(raw(root), 'loop/x'), { code: 'ELOOP' });
});
