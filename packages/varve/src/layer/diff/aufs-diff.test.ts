import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { applyLayer } from '../apply-layer.ts';
import { archive, type ArchiveEntry, file, folder, lowerTree } from '../testing/archive.ts';
import { TemporaryFolder } from '../testing/tree.ts';
import { changes, writeLayer } from '../write-layer.ts';

const top: readonly ArchiveEntry[] = [
  folder('a', 0o700),
  file('a/.wh.one'),
  file('a/.wh.never-there'),
  folder('a/sub'),
  file('a/sub/.wh..wh..opq'),
  file('a/sub/y', 'y'),
  file('.wh.b'),
  folder('b'),
  file('b/new', 'n'),
  file('c', 'changed'),
  file('z', 'z'),
];

test("a layer in AUFS's form and in overlayfs's is the same tar and the same changes", async () => {
  using temporary = new TemporaryFolder();
  const at = (name: string): string => temporary.join(name);
  writeFileSync(at('base.tar'), archive(...lowerTree));
  writeFileSync(at('top.tar'), archive(...top));
  const results = [];
  for (const kind of ['overlay', 'aufs'] as const) {
    const [lower, upper] = [at(`${kind}-lower`), at(`${kind}-upper`)];
    for (const [path, root] of [
      [at('base.tar'), lower],
      [at('top.tar'), upper],
    ] as const) {
      mkdirSync(root);
      await applyLayer({ path, compression: 'none' }, { root, whiteouts: kind });
    }
    const source = { kind, upper, lowers: [lower] } as const;
    const { diffId, entries } = await writeLayer(source, at(`${kind}.tar`), 'none');
    results.push({ diffId, entries, changes: await changes(source) });
  }
  assert.deepEqual(results[0], results[1]);
  assert.deepEqual(
    results[1]?.changes.map(({ kind, path }) => `${kind} ${path}`),
    [
      'modify /a',
      'delete /a/one',
      'modify /a/sub',
      'delete /a/sub/x',
      'add /a/sub/y',
      'modify /b',
      'delete /b/f',
      'add /b/new',
      'modify /c',
      'add /z',
    ],
  );
  assert.deepEqual(readdirSync(at('aufs-upper')).sort(), ['a', 'b', 'c', 'z']);
  assert.deepEqual(readdirSync(at('aufs-upper/b')).sort(), ['.wh..wh..opq', 'new']);
  assert.deepEqual(readdirSync(at('aufs-upper/a')).sort(), ['.wh.never-there', '.wh.one', 'sub']);
});
