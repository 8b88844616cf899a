import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { VarveError } from '../../base/index.ts';
import { mountFilesystem, unmount } from '../../linux/index.ts';
import { applyLayer } from '../apply-layer.ts';
import { type ArchiveEntry, archive, file, folder, hardlink, symlink } from '../testing/archive.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';

const parts = [
  'a',
  'b',
  'c',
  '..',
  '.',
  'etc',
  'up',
  'root',
  '.wh.a',
  '.wh.b',
  '.wh..wh..opq',
  '.wh...',
  '.wh..wh.x',
];
const targets = [
  '/',
  '..',
  '../..',
  '../../..',
  '/etc',
  '../../host/etc',
  'a',
  'b/c',
  '.',
  '/proc/self/root',
  '/a/../../..',
];
const name = fc
  .tuple(
    fc.constantFrom('', '', '', '/', './', '../'),
    fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 4 }),
  )
  .map(([start, list]) => start + list.join('/'));

const hostile: fc.Arbitrary<ArchiveEntry> = fc.oneof(
  { weight: 3, arbitrary: name.map((path) => file(path, 'from the archive')) },
  { weight: 3, arbitrary: name.map((path) => folder(path)) },
  {
    weight: 3,
    arbitrary: fc.tuple(name, fc.constantFrom(...targets)).map(([path, to]) => symlink(path, to)),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(name, fc.oneof(name, fc.constantFrom('/host/etc/passwd', '../etc/passwd')))
      .map(([path, to]) => hardlink(path, to)),
  },
  { weight: 1, arbitrary: name.map((path): ArchiveEntry => ({ name: path, type: 'fifo' })) },
);

test('no archive changes anything outside its root, and none ends in a surprise', async () => {
  let [applied, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.array(hostile, { minLength: 3, maxLength: 25 }),
      fc.constantFrom('apply', 'overlay'),
      async (entries, whiteouts) => {
        using host = new TemporaryFolder('/dev/shm');
        for (const path of ['etc', 'host', 'host/etc', 'in', 'in/root', 'in/root/etc'])
          mkdirSync(host.join(path));
        for (const path of ['etc/passwd', 'host/etc/passwd', 'in/secret', 'in/root/etc/passwd'])
          writeFileSync(host.join(path), path);
        const outside = (): string[] =>
          describeTree(host.path).filter((line) => !line.startsWith('/in/root'));
        const before = outside();
        using blob = new TemporaryFolder('/dev/shm');
        writeFileSync(blob.join('l'), archive(...entries));
        try {
          await applyLayer(
            { path: blob.join('l'), compression: 'none' },
            { root: host.join('in/root'), whiteouts },
          );
          applied++;
        } catch (error) {
          refused++;
          assert.ok(
            VarveError.is(error) && error.kind === 'invalid' && error.code.startsWith('TAR_'),
            String(error),
          );
        }
        assert.deepEqual(outside(), before);
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(applied > 20 && refused > 20, `${applied} applied, ${refused} refused`);
});

const leaf = fc.constantFrom('a', 'b', 'c');
const layerPath = fc.array(leaf, { minLength: 1, maxLength: 3 });

/** An entry with its parents, as real layers have them. */
const layerStep = fc.record({
  kind: fc.constantFrom('file', 'folder', 'whiteout', 'opaque'),
  path: layerPath,
  text: leaf,
});
type LayerStep = typeof layerStep extends fc.Arbitrary<infer T> ? T : never;

/** Layers as tools make them: every name once, files in folders only, parents before children; marks anywhere in a folder. */
function toEntries(steps: readonly LayerStep[], marksFirst: boolean): ArchiveEntry[] {
  const entries = new Map<string, ArchiveEntry>();
  const marks = new Map<string, ArchiveEntry>();
  for (const { kind, path, text } of steps) {
    const parents = path.slice(0, -1).map((_, i) => path.slice(0, i + 1).join('/'));
    if (parents.some((parent) => (entries.get(parent)?.type ?? 'directory') !== 'directory')) continue;
    for (const parent of parents) if (!entries.has(parent)) entries.set(parent, folder(parent));
    const full = path.join('/');
    const prefix = parents.length > 0 ? `${parents.at(-1)}/` : '';
    if (kind === 'whiteout') marks.set(full, file(`${prefix}.wh.${path.at(-1)}`));
    else if (kind === 'opaque') {
      if (entries.has(full) && entries.get(full)?.type !== 'directory') continue;
      entries.set(full, entries.get(full) ?? folder(full));
      marks.set(`${full}/opaque`, file(`${full}/.wh..wh..opq`));
    } else if (!entries.has(full)) {
      entries.set(full, kind === 'file' ? { ...file(full, text), type: 'file' } : folder(full));
    }
  }
  const folders = [...entries.values()].filter(({ type }) => type === 'directory');
  const files = [...entries.values()].filter(({ type }) => type === 'file');
  return marksFirst ? [...folders, ...marks.values(), ...files] : [...folders, ...files, ...marks.values()];
}

test('a stack of layers shows the same under overlayfs as in one tree', async () => {
  const layer = fc.tuple(fc.array(layerStep, { maxLength: 12 }), fc.boolean());
  await fc.assert(
    fc.asyncProperty(fc.array(layer, { minLength: 2, maxLength: 4 }), async (layers) => {
      using temporary = new TemporaryFolder('/dev/shm');
      const full = temporary.join('full');
      const merged = temporary.join('merged');
      mkdirSync(full);
      mkdirSync(merged);
      const lowers: string[] = [];
      for (const [index, [steps, marksFirst]] of layers.entries()) {
        const blob = temporary.join(`${index}.tar`);
        writeFileSync(blob, archive(...toEntries(steps, marksFirst)));
        const own = temporary.join(`layer${index}`);
        mkdirSync(own);
        lowers.unshift(own);
        await applyLayer({ path: blob, compression: 'none' }, { root: full, whiteouts: 'apply' });
        // With nothing below a whiteout has nothing to hide.
        await applyLayer(
          { path: blob, compression: 'none' },
          { root: own, whiteouts: index === 0 ? 'apply' : 'overlay' },
        );
      }
      mountFilesystem(
        'overlay',
        lowers.map((lower) => ['lowerdir+', lower] as const),
        merged,
      );
      try {
        const look = (root: string): string[] =>
          describeTree(root, {
            ignoreXattrs: /^trusted\.overlay/,
            ignoreFolderTimes: true,
            ignoreMissing: true,
          });
        assert.deepEqual(look(full), look(merged));
      } finally {
        unmount(merged);
      }
    }),
    { numRuns: 150 },
  );
});
