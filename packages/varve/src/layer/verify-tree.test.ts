import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { applyLayer } from './apply-layer.ts';
import { archive, file, folder, symlink } from './testing/archive.ts';
import { verifyTree } from './verify-tree.ts';

/** A layer unpacked into a folder, with something done to it. */
async function differences(damage: (tree: string) => void): Promise<readonly string[]> {
  const work = mkdtempSync('/var/tmp/varve-verify-');
  try {
    const [path, tree] = [join(work, 'layer.tar.gz'), join(work, 'tree')];
    const entries = [
      folder('dir'),
      file('dir/file', 'first'),
      file('dir/file', 'what counts'),
      file('dir/.wh.gone', ''),
      file('big', Buffer.alloc(700_000, 7)),
      symlink('link', '/etc/passwd'),
      file('empty', ''),
    ];
    writeFileSync(path, gzipSync(archive(...entries)));
    mkdirSync(tree);
    await applyLayer({ path, compression: 'auto' }, { root: tree, whiteouts: 'overlay' });
    damage(tree);
    return await verifyTree({ path, compression: 'auto' }, tree);
  } finally {
    rmSync(work, { recursive: true });
  }
}

test('a layer as it was unpacked does not differ', async () => {
  assert.deepEqual(await differences(() => undefined), []);
});

for (const [what, damage, told] of [
  ['emptied', (tree: string) => truncateSync(join(tree, 'big'), 0), '/big has 0 bytes, not 700000'],
  [
    'changed in one byte',
    (tree: string) => writeFileSync(join(tree, 'dir/file'), 'what count5'),
    '/dir/file has other bytes',
  ],
  ['gone', (tree: string) => rmSync(join(tree, 'empty')), '/empty is not there'],
  ['of another mode', (tree: string) => chmodSync(join(tree, 'big'), 0o6755), '/big has another mode'],
  [
    'replaced by a link to the host',
    (tree: string) => {
      rmSync(join(tree, 'big'));
      symlinkSync('/etc/passwd', join(tree, 'big'));
    },
    '/big is not there',
  ],
] as const) {
  test(`a file that is ${what} is told`, async () => {
    assert.deepEqual(await differences(damage), [told]);
  });
}

test('a comparison can be broken off', async () => {
  const source = { path: '/dev/zero', compression: 'none' as const };
  await assert.rejects(verifyTree(source, '/', { signal: AbortSignal.abort() }), { code: 'CANCELLED' });
});
