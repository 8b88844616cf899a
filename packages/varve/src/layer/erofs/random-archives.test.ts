import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { VarveError } from '../../base/index.ts';
import { applyLayer } from '../index.ts';
import { type ArchiveEntry, archive, file, folder, hardlink, symlink } from '../testing/archive.ts';
import { describeTree } from '../testing/tree.ts';
import { MountedIndex } from './testing.ts';

const parts = ['a', 'b', 'c', '..', '.', '.wh.a', '.wh.b', '.wh..wh..opq', '.wh...', '.wh..wh.x'];
const targets = ['/', '..', '../..', '/a', '../b', 'a', 'b/c', '.', '/a/../../b', 'nowhere/../c'];
const name = fc
  .tuple(
    fc.constantFrom('', '', '', '/', './', '../'),
    fc.array(fc.constantFrom('a', 'b', 'c', ...parts), { minLength: 1, maxLength: 4 }),
  )
  .map(([start, list]) => start + list.join('/'));

const entry: fc.Arbitrary<ArchiveEntry> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(name, name).map(([path, text]) => file(path, text)) },
  {
    weight: 4,
    arbitrary: fc.tuple(name, fc.constantFrom(0o755, 0o700)).map(([path, mode]) => folder(path, mode)),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(name, fc.constantFrom(...targets)).map(([path, to]) => symlink(path, to)),
  },
  { weight: 2, arbitrary: fc.tuple(name, name).map(([path, to]) => hardlink(path, to)) },
  { weight: 1, arbitrary: name.map((path): ArchiveEntry => ({ name: path, type: 'fifo' })) },
);

/** Times of folders without an entry are anybody's; below an opaque folder, whiteouts and bare folders mean nothing. */
function look(root: string): string[] {
  const lines = describeTree(root, { ignoreFolderTimes: true });
  const opaque = lines
    .filter((line) => line.includes('trusted.overlay.opaque=79'))
    .map((line) => `${line.split(' ')[0]}/`);
  return lines
    .map((line) => line.replace(/ 20\d* 0:0 \S+ dev=0,0$/, ' whiteout'))
    .filter(
      (line) =>
        !/ (?:whiteout|40755 0:0(?: trusted\.overlay\.opaque=79)?)$/.test(line) ||
        !opaque.some((path) => line.startsWith(path)),
    );
}

async function outcome(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'taken';
  } catch (error) {
    assert.ok(VarveError.is(error) && error.kind === 'invalid', String(error));
    return error.code;
  }
}

test('an index shows what unpacking the same archive gives, and refuses what that refuses', async () => {
  let [taken, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { minLength: 3, maxLength: 16 }), async (entries) => {
      using made = new MountedIndex();
      const path = made.folder.join('layer');
      const unpacked = made.folder.join('unpacked');
      mkdirSync(unpacked);
      const stored = await outcome(() => made.store(archive(...entries)));
      const applied = await outcome(() =>
        applyLayer({ path, compression: 'none' }, { root: unpacked, whiteouts: 'overlay' }),
      );
      assert.equal(stored, applied);
      if (stored !== 'taken') {
        refused++;
        return;
      }
      taken++;
      made.mount();
      assert.deepEqual(look(made.root), look(unpacked));
    }),
    { numRuns: 250 },
  );
  assert.ok(taken > 20 && refused > 20, `${taken} taken, ${refused} refused`);
});
