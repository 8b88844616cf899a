import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyLayer, writeLayer } from '../../layer/index.ts';
import { describeTree, performOperations, RandomSource, Sequence } from '../../layer/testing/index.ts';
import type { ChainID } from '../../oci/index.ts';
import { type DriverUnderTest, Rig } from './rig.ts';

const layers = 3;
const steps = 150;

/** A union's own attributes are no part of a tree. */
const listing = (root: string): string[] => describeTree(root, { ignoreXattrs: /^trusted\.overlay\./ });

/**
 * Long random sequences over several layers, the same under every driver: the trees are those of a plain folder, and so
 * are the layers, byte for byte.
 */
export function testSequences(under: DriverUnderTest): void {
  for (const seed of [1, 2, 3]) {
    test(`random sequence ${seed}: trees and DiffIDs are those of a plain folder`, async () => {
      await using rig = new Rig(under);
      // A folder made again over one of the parent is an opaque one for a union, and a list of deletions for others.
      const sequence = new Sequence(new RandomSource(seed), { recreateFolders: false });
      const empty = rig.plainFolder();
      const plain = rig.plainFolder();
      let before = empty;
      let top: ChainID | undefined;
      for (let layer = 0; layer < layers; layer++) {
        const operations = sequence.nextLayer(steps);
        const act = (root: string): void => performOperations(root, operations);
        act(plain);
        const key = `step ${layer}`;
        await rig.active(key, top, act);
        assert.deepEqual(await rig.within(key, listing), listing(plain), `layer ${layer}`);
        const expected = await writeLayer({ kind: 'trees', upper: plain, lower: before }, rig.path(), 'none');
        const { chain, blob } = await rig.reapply(key);
        assert.deepEqual(await rig.within(chain, listing), listing(plain), `layer ${layer} applied`);
        assert.equal(blob.diffId, expected.diffId, `DiffID of layer ${layer}`);
        assert.equal(blob.size, expected.size);
        top = chain;
        before = await copy(plain, rig);
      }
    });
  }
}

/** A copy with everything kept, by way of a layer. */
async function copy(from: string, rig: Rig): Promise<string> {
  const [to, path] = [rig.plainFolder(), rig.path()];
  await writeLayer({ kind: 'trees', upper: from }, path, 'none');
  await applyLayer({ path, compression: 'none' }, { root: to, whiteouts: 'apply' });
  return to;
}
