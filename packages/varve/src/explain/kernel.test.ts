import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { VarveError } from '../base/index.ts';
import { type ChainID, digestOf } from '../oci/index.ts';
import { Overlay2Driver } from '../storage/index.ts';
import { listTree, Rig, type TestEntry } from '../storage/testing/index.ts';
import {
  buildStack,
  type ExplainLayer,
  explainPath,
  type FileType,
  type LayerEntry,
  largest,
  mergedView,
  wasteLedger,
} from './index.ts';

const rig = new Rig({
  name: 'overlay2',
  create: (root) => new Overlay2Driver(root),
  module: new URL('../storage/index.ts', import.meta.url),
  exported: 'Overlay2Driver',
  renamesLowerFolders: false,
});
after(() => rig[Symbol.asyncDispose]());

const types: Readonly<Record<string, FileType>> = {
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '5': 'directory',
  '6': 'fifo',
};

/** The same layer for the explainer. */
function asExplained(entries: readonly TestEntry[], index: number): ExplainLayer {
  return {
    instruction: `STEP ${index}`,
    entries: entries.map((entry): LayerEntry => {
      const type = types[entry.type ?? '0'] as FileType;
      return {
        path: entry.name,
        type,
        size: type === 'file' ? Buffer.byteLength(entry.content ?? '') : 0,
        mode: entry.mode ?? (type === 'directory' ? 0o755 : 0o644),
        uid: entry.uid ?? 0,
        gid: entry.gid ?? 0,
        mtime: 1_600_000_000_000,
        ...(entry.linkname === undefined ? {} : { linkName: entry.linkname }),
        ...(type === 'file' ? { digest: digestOf(entry.content ?? '') } : {}),
      };
    }),
  };
}

const path = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));

/** Few names, so that layers meet often; contents that tell where they come from, some of them equal. */
const entry: fc.Arbitrary<TestEntry> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      name: path,
      content: fc.constantFrom('', 'one', 'other', 'x'.repeat(5000)),
      mode: fc.constantFrom(0o644, 0o4755),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      name: path,
      type: fc.constant('5' as const),
      mode: fc.constantFrom(0o755, 0o700),
      uid: fc.constantFrom(0, 7),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      name: path,
      type: fc.constant('2' as const),
      linkname: fc.oneof(
        path,
        path.map((to) => `/${to}`),
        path.map((to) => `../${to}`),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ name: path, type: fc.constant('1' as const), linkname: path })
      .filter(({ name, linkname }) => name !== linkname),
  },
  { weight: 1, arbitrary: fc.record({ name: path, type: fc.constant('6' as const) }) },
  { weight: 3, arbitrary: path.map((name) => ({ name: name.replace(/[^/]+$/, '.wh.$&') })) },
  { weight: 1, arbitrary: path.map((name) => ({ name: `${name}/.wh..wh..opq` })) },
);

/** A layer that deletes a folder and also names in it that it deletes, without an entry for it: told in either order. */
function isContradictory(entries: readonly TestEntry[]): boolean {
  const deleted = entries.filter(({ name }) => name.includes('.wh.') && !name.includes('opq'));
  return deleted.some(({ name }) => {
    const folder = `${name.replace('.wh.', '')}/`;
    return entries.some((other) => other.name.startsWith(folder) && other.name.includes('.wh.'));
  });
}

const stack = fc.array(fc.array(entry, { maxLength: 8 }), { minLength: 1, maxLength: 6 });

let top: ChainID | undefined;

/** Unpacks and stacks the layers; the bytes of content the unpacking wrote, or undefined when an archive was refused. */
async function applyAll(layers: readonly (readonly TestEntry[])[]): Promise<number | undefined> {
  top = undefined;
  let bytes = 0;
  for (const [index, entries] of layers.entries()) {
    const layer = rig.layer(top, [{ name: `from-${index}-${rig.path().length}`, content: '' }, ...entries]);
    try {
      bytes += (await rig.driver.apply(layer)).size;
    } catch (error) {
      if (VarveError.is(error) && error.kind === 'invalid') return undefined;
      throw error;
    }
    top = layer.chainId;
  }
  return bytes;
}

async function checkAgainstKernel(layers: readonly (readonly TestEntry[])[]): Promise<void> {
  fc.pre(!layers.some(isContradictory));
  const bytes = await applyAll(layers);
  fc.pre(bytes !== undefined);
  const built = buildStack({ layers: layers.map(asExplained) });
  const mounted = await rig.within(top as ChainID, (root) => ({
    listing: [...listTree(root, { ignoreTimes: true })].filter(([name]) => !name.startsWith('/from-')),
  }));

  const view = mergedView(built);
  assert.deepEqual(
    [...view.keys()].sort(),
    mounted.listing.map(([name]) => name).sort(),
    'the paths that are seen',
  );
  let seenBytes = 0;
  for (const [name, text] of mounted.listing) {
    const file = view.get(name);
    assert.ok(file);
    const type = file.type === 'directory' ? 'folder' : file.type;
    const mode = type === 'symlink' ? '777' : file.mode.toString(8);
    const facts = [type, mode, `${file.uid}:${file.gid}`];
    if (file.type === 'file') facts.push(`${file.size} bytes ${file.digest?.slice(7, 23)}`);
    if (file.type === 'symlink') facts.push(`-> ${file.linkName}`);
    assert.equal(text.replace(/ = .*/, ''), facts.join(' '), name);
    if (file.type === 'file' && !text.includes(' = ')) seenBytes += file.size;
  }

  const ledger = wasteLedger(built);
  assert.equal(ledger.shippedBytes, bytes, 'bytes the layers ship');
  assert.equal(ledger.seenBytes, seenBytes, 'bytes of the flattened tree');
  assert.equal(
    ledger.items.reduce((sum, item) => sum + item.bytes, 0),
    ledger.shippedBytes - seenBytes,
  );
  assert.equal(
    Object.values(ledger.causes).reduce((sum, cause) => sum + cause.bytes, 0),
    ledger.wastedBytes,
  );
  assert.equal(
    largest(built, 1000).reduce((sum, file) => sum + file.size, 0),
    seenBytes,
  );

  for (const name of ['/a', '/a/b', '/b/c', '/c/c/c', '/a/a']) {
    const told = explainPath(built, name);
    if (told.links.length === 0) {
      assert.equal(told.exists, view.has(name), name);
      assert.equal(told.seen?.layer.index, view.get(name)?.layer.index, name);
      assert.equal(told.findings.filter(({ role }) => role === 'seen').length, told.exists ? 1 : 0, name);
    }
  }
}

test('says of random stacks of layers what the kernel shows', { timeout: 120_000 }, async () => {
  await fc.assert(fc.asyncProperty(stack, checkAgainstKernel), {
    numRuns: Number(process.env['VARVE_TEST_SEQUENCES'] ?? 100),
    maxSkipsPerRun: 20,
  });
});

test('a folder deleted and only named again by what is in it is a new one', async () => {
  const folder: TestEntry[] = [{ name: 'c', type: '5', mode: 0o700, uid: 7 }];
  const again: TestEntry[] = [{ name: '.wh.c' }, { name: 'c/a', content: '' }];
  await checkAgainstKernel([folder, again]);
  await checkAgainstKernel([folder, again.toReversed()]);
  await checkAgainstKernel([folder, again, [{ name: 'c/b', content: '' }]]);
});

test('a folder that a link takes the place of goes with all that is in it, and nothing else does', async () => {
  const layer: TestEntry[] = [
    { name: 'a/c/a', type: '5', mode: 0o755 },
    { name: 'b/c', type: '5', mode: 0o755 },
    { name: 'a', type: '2', linkname: 'b' },
  ];
  await checkAgainstKernel([[], layer]);
  await checkAgainstKernel([layer]);
});

test('follows links as a process in the container does', async () => {
  const layers: TestEntry[][] = [
    [
      { name: 'usr/bin/tool', content: 'tool' },
      { name: 'bin', type: '2', linkname: 'usr/bin' },
      { name: 'abs', type: '2', linkname: '/usr' },
      { name: 'out', type: '2', linkname: '../../../usr/bin' },
      { name: 'round', type: '2', linkname: 'round' },
    ],
    [{ name: 'usr/bin/tool', content: 'newer' }],
  ];
  await applyAll(layers);
  const built = buildStack({ layers: layers.map(asExplained) });
  const { readFileSync } = await import('node:fs');
  await rig.within(top as ChainID, (root) => {
    assert.equal(readFileSync(join(root, 'bin/tool'), 'utf8'), 'newer');
  });
  for (const name of ['/bin/tool', '/abs/bin/tool', '/out/tool', 'bin/../bin/tool', '/../usr/bin/tool']) {
    const told = explainPath(built, name);
    assert.equal(told.path, '/usr/bin/tool', name);
    assert.equal(told.seen?.layer.index, 1, name);
  }
  assert.ok(explainPath(built, '/round/x').loops);
});
