/**
 * Random sequences on a stack of layers, done in the kernel's overlayfs, in a plain folder and in what umoci unpacked. Our
 * layers must carry every tree exactly, whoever reads them, and we must read the layers that umoci makes.
 *
 * VARVE_TEST_SEQUENCES: how many; VARVE_TEST_SEED: the first batch's, printed with every failure.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { applyLayer, changes, type DiffSource, writeLayer } from '../../src/layer/index.ts';
import { describeTree, TemporaryFolder } from '../../src/layer/testing/tree.ts';
import { mountFilesystem, unmount } from '../../src/linux/index.ts';
import { Sequences } from './sequences.ts';
import { UmociImage } from './umoci-image.ts';

const perBatch = 25;
const wanted = Number(process.env['VARVE_TEST_SEQUENCES'] ?? 300);
const batches = Math.ceil(wanted / perBatch);
const firstSeed = Number(process.env['VARVE_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Every so many batches also break hard links, which only overlayfs does. */
const linkBreaking = 4;

const listing = (root: string): string[] => describeTree(root, { ignoreXattrs: /^trusted\.overlay\./ });

/** One overlay mount, the topmost layer writable or none. */
class Overlay implements Disposable {
  readonly path: string;

  constructor(
    path: string,
    lowers: readonly string[],
    writable?: { readonly upper: string; readonly work: string },
  ) {
    for (const folder of [path, writable?.upper, writable?.work]) if (folder !== undefined) mkdirSync(folder);
    const layers = lowers.map((lower) => ['lowerdir+', lower] as const);
    const upper = writable
      ? ([
          ['upperdir', writable.upper],
          ['workdir', writable.work],
        ] as const)
      : [];
    const plain = [
      ['index', 'off'],
      ['redirect_dir', 'off'],
      ['metacopy', 'off'],
    ] as const;
    mountFilesystem('overlay', [...layers, ...upper, ...plain], path);
    this.path = path;
  }

  [Symbol.dispose](): void {
    unmount(this.path, { detach: true });
  }
}

/** Compares trees; a difference is told with the steps that led to it. */
class Batch {
  readonly #sequences: Sequences;

  constructor(sequences: Sequences) {
    this.#sequences = sequences;
  }

  same(actual: readonly string[], expected: readonly string[], what: string, layer: number): void {
    const known = new Set(expected);
    const found = new Set(actual);
    const wrong = [
      ...actual.filter((line) => !known.has(line)),
      ...expected.filter((line) => !found.has(line)),
    ];
    if (wrong.length === 0) return;
    const index = Number(/^\/s(\d+)/.exec(wrong[0] ?? '')?.[1] ?? 0);
    const own = (lines: readonly string[]): string[] =>
      lines.filter((line) => new RegExp(`^/s${index}\\b`).test(line));
    assert.deepEqual(
      own(actual),
      own(expected),
      `${what}, layer ${layer} of ${this.#sequences.layerCount}, sequence ${index}:\n${this.#sequences.describe(index)}`,
    );
    assert.fail(`${what}: ${wrong.join('\n')}`);
  }
}

async function runBatch(seed: number, breakLinks: boolean): Promise<void> {
  const sequences = new Sequences(seed, perBatch, { breakLinks });
  const batch = new Batch(sequences);
  using temporary = new TemporaryFolder('/dev/shm');
  using mounts = new DisposableStack();
  const at = (name: string, layer: number): string => temporary.join(`${name}-${layer}`);
  const last = sequences.layerCount - 1;
  const layers: Buffer[] = [];
  const trees: string[][] = [];
  for (const name of ['plain', 'from-upper', 'from-trees', 'with-umoci', 'nothing'])
    mkdirSync(temporary.join(name));
  const below = (name: string, layer: number): string[] =>
    Array.from({ length: layer }, (_, index) => at(name, layer - 1 - index));
  const apply = async (
    path: string,
    root: string,
    whiteouts: 'apply' | 'overlay' = 'apply',
  ): Promise<void> => {
    const { diffId } = await applyLayer({ path, compression: 'auto' }, { root, whiteouts });
    assert.match(diffId, /^sha256:/);
  };

  for (let layer = 0; layer <= last; layer++) {
    const upper = at('upper', layer);
    const lowers = below('upper', layer);
    const merged = mounts.use(
      new Overlay(at('merged', layer), [...lowers, temporary.join('nothing')], {
        upper,
        work: at('work', layer),
      }),
    );
    sequences.perform(merged.path, layer);
    const tree = listing(merged.path);
    trees.push(tree);
    if (!breakLinks) {
      sequences.perform(temporary.join('plain'), layer);
      batch.same(listing(temporary.join('plain')), tree, 'a plain folder', layer);
    }

    const overlay: DiffSource = { kind: 'overlay', upper, lowers };
    const lower = layer === 0 ? temporary.join('nothing') : at('merged', layer - 1);
    const compared: DiffSource = { kind: 'trees', upper: merged.path, lower };
    assert.deepEqual(
      await changes(overlay),
      await changes(compared),
      `changes of layer ${layer}, seed ${seed}`,
    );
    const written = await writeLayer(overlay, at('upper.tar', layer), 'none');
    assert.equal(written.digest, written.diffId);
    await writeLayer(compared, at('trees.tar', layer), 'gzip');
    layers.push(readFileSync(at('upper.tar', layer)));

    await apply(at('upper.tar', layer), temporary.join('from-upper'));
    batch.same(listing(temporary.join('from-upper')), tree, 'the diff of an upper folder', layer);
    await apply(at('trees.tar', layer), temporary.join('from-trees'));
    batch.same(listing(temporary.join('from-trees')), tree, 'the diff of two trees', layer);
    mkdirSync(at('applied', layer));
    await apply(at('upper.tar', layer), at('applied', layer), 'overlay');
    using again = new Overlay(at('again', layer), [
      ...below('applied', layer + 1),
      temporary.join('nothing'),
    ]);
    const shown = describeTree(again.path, { ignoreXattrs: /^trusted\.overlay\./, ignoreMissing: true });
    batch.same(shown, tree, 'layers under overlayfs', layer);
  }

  const whole = new UmociImage(temporary.join('whole'), layers);
  batch.same(
    listing(await whole.unpack(temporary.join('unpacked'))),
    trees[last] ?? [],
    'umoci unpack',
    last,
  );
  if (breakLinks) return;
  const lower = new UmociImage(temporary.join('lower'), layers.slice(0, last));
  const bundle = temporary.join('bundle');
  const root = await lower.unpack(bundle);
  sequences.perform(root, last);
  batch.same(listing(root), trees[last] ?? [], 'what umoci unpacked', last);
  const theirs = await lower.repack(bundle);
  for (let layer = 0; layer < last; layer++)
    await apply(at('upper.tar', layer), temporary.join('with-umoci'));
  await apply(theirs, temporary.join('with-umoci'));
  batch.same(listing(temporary.join('with-umoci')), trees[last] ?? [], 'the layer of umoci repack', last);
}

test(`the kernel, umoci and we see the same trees after ${batches * perBatch} random sequences`, async () => {
  for (let batch = 0; batch < batches; batch++) {
    const seed = firstSeed + batch;
    // The seed decides that too, so that a failure can be run alone.
    await runBatch(seed, seed % linkBreaking === 0).catch((error: unknown) => {
      throw new Error(`VARVE_TEST_SEED=${seed} VARVE_TEST_SEQUENCES=${perBatch}`, { cause: error });
    });
  }
});
