import assert from 'node:assert/strict';
import {
  chmodSync,
  lchownSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { mountFilesystem, setXattr, unmount } from '../../linux/index.ts';
import { applyLayer } from '../apply-layer.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';
import { changes, writeLayer } from '../write-layer.ts';

type Step =
  | { readonly act: 'write' | 'folder' | 'link' | 'remove'; readonly path: string; readonly value: number }
  | { readonly act: 'hardlink'; readonly path: string; readonly to: string; readonly value: number }
  | { readonly act: 'mode' | 'owner' | 'xattr' | 'time'; readonly path: string; readonly value: number };

const names = ['a', 'b', 'c.d', 'é'];
const path = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      act: fc.constantFrom('write', 'folder', 'link', 'remove'),
      path,
      value: fc.nat(9),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ act: fc.constant('hardlink'), path, to: path, value: fc.constant(0) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ act: fc.constantFrom('mode', 'owner', 'xattr', 'time'), path, value: fc.nat(9) }),
  },
) as fc.Arbitrary<Step>;

/** Does what can be done; what the tree does not allow (a file used as a folder, …) is passed over. */
function perform(root: string, steps: readonly Step[]): void {
  for (const item of steps) {
    const full = `${root}/${item.path}`;
    try {
      switch (item.act) {
        case 'write':
          writeFileSync(full, 'content '.repeat(item.value));
          break;
        case 'folder':
          mkdirSync(full, { recursive: true });
          break;
        case 'link':
          symlinkSync(`../x${item.value}`, full);
          break;
        case 'remove':
          rmSync(full, { recursive: true });
          break;
        case 'hardlink':
          linkSync(`${root}/${item.to}`, full);
          break;
        case 'mode':
          chmodSync(full, 0o700 + item.value);
          break;
        case 'owner':
          lchownSync(full, item.value, item.value);
          break;
        case 'xattr':
          setXattr(full, `user.k${item.value % 3}`, Buffer.from([item.value]));
          break;
        case 'time':
          utimesSync(full, item.value, item.value);
          break;
      }
    } catch (error) {
      assert.ok((error as NodeJS.ErrnoException).code, String(error));
    }
  }
}

test('whatever a container does, its diff applied over the base gives its tree', async () => {
  const kernel = { ignoreXattrs: /^trusted\.overlay\./ };
  const steps = (maxLength: number): fc.Arbitrary<Step[]> => fc.array(step, { minLength: 5, maxLength });
  await fc.assert(
    fc.asyncProperty(steps(40), steps(25), async (base, change) => {
      using temporary = new TemporaryFolder('/dev/shm');
      const at = (name: string): string => temporary.join(name);
      for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(at(name));
      perform(at('lower'), base);
      mountFilesystem(
        'overlay',
        [
          ['lowerdir+', at('lower')],
          ['upperdir', at('upper')],
          ['workdir', at('work')],
          ['redirect_dir', 'off'],
          ['metacopy', 'off'],
        ],
        at('merged'),
      );
      try {
        perform(at('merged'), change);
        const expected = describeTree(at('merged'), kernel);
        const overlay = { kind: 'overlay', upper: at('upper'), lowers: [at('lower')] } as const;
        const trees = { kind: 'trees', upper: at('merged'), lower: at('lower') } as const;
        assert.deepEqual(await changes(overlay), await changes(trees), 'docker diff');
        for (const source of [overlay, trees]) {
          const [layer, root] = [at(`${source.kind}.tar`), at(`${source.kind}.root`)];
          await writeLayer(source, layer, 'none');
          await copyOf(at('lower'), root, at('lower.tar'));
          await applyLayer({ path: layer, compression: 'none' }, { root, whiteouts: 'apply' });
          assert.deepEqual(describeTree(root), expected, source.kind);
        }
      } finally {
        unmount(at('merged'));
      }
    }),
    { numRuns: 60 },
  );
});

/** A copy with everything kept, by way of a layer. */
async function copyOf(from: string, to: string, via: string): Promise<void> {
  rmSync(via, { force: true });
  mkdirSync(to);
  await writeLayer({ kind: 'trees', upper: from }, via, 'none');
  await applyLayer({ path: via, compression: 'none' }, { root: to, whiteouts: 'apply' });
}
