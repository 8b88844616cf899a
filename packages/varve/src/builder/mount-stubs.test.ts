import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { watchMountPoints } from './mount-stubs.ts';
import { raw } from './raw-path.ts';
import { TestFolder } from './testing/folder.ts';

test('takes away the empty mount points that a container left, and nothing else', () => {
  using folder = new TestFolder();
  const root = folder.write({ 'etc/hosts': '', 'sys/': '' });
  const before = statSync(root).mtimeMs;
  const clean = watchMountPoints(raw(root), ['/cache/deep']);
  folder.write({ 'proc/': '', 'etc/resolv.conf': '', 'etc/hostname': 'written', 'cache/deep/': '' });
  clean();
  assert.deepEqual(
    ['proc', 'etc/resolv.conf', 'cache', 'etc/hostname', 'etc/hosts', 'sys'].map((name) =>
      existsSync(join(root, name)),
    ),
    [false, false, false, true, true, true],
  );
  assert.equal(statSync(root).mtimeMs, before);
});
