import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type ChainID, chainId, digestOf } from '../../oci/index.ts';
import { asObject, listTree } from './listing.ts';
import { type DriverUnderTest, Rig } from './rig.ts';
import type { TestEntry } from './tar.ts';

const base: readonly TestEntry[] = [
  { name: './', type: '5', mode: 0o711, uid: 3, gid: 4 },
  { name: 'etc/', type: '5' },
  { name: 'etc/passwd', content: 'root' },
  { name: 'etc/keep', content: 'keep' },
  { name: 'opt/', type: '5' },
  { name: 'opt/old', content: 'old' },
  { name: 'opt/more', content: 'more' },
  { name: 'bin/tool', mode: 0o4755, uid: 1000, gid: 1001, content: 'tool' },
  { name: 'bin/same', type: '1', linkname: 'bin/tool' },
  { name: 'bin/sh', type: '2', linkname: '/bin/tool' },
  { name: 'dev/null', type: '3', device: [1, 3], mode: 0o666 },
  { name: 'dev/loop', type: '4', device: [7, 300] },
  { name: 'pipe', type: '6' },
  { name: 'tagged', content: 'x', pax: { 'SCHILY.xattr.user.tag': 'value', mtime: '1500000000.123456789' } },
];

/** Entries that try to reach a file beside the data root's snapshots; `canary` is its absolute path. */
const escapes: Readonly<Record<string, (canary: string) => readonly TestEntry[]>> = {
  'names with ..': (canary) => [
    { name: `${'../'.repeat(30)}${canary.slice(1)}`, content: 'owned' },
    { name: 'a/../../../../../../canary', content: 'owned' },
  ],
  'absolute names': (canary) => [{ name: canary, content: 'owned' }],
  'a link to a folder above, then a file through it': (canary) => [
    { name: 'up', type: '2', linkname: join(canary, '..') },
    { name: 'up/canary', content: 'owned' },
  ],
  'a relative link to a folder above, then a file through it': () => [
    { name: 'up', type: '2', linkname: '../'.repeat(6) },
    { name: 'up/canary', content: 'owned' },
  ],
  'a link to the file, then a file in its place': (canary) => [
    { name: 'x', type: '2', linkname: canary },
    { name: 'x', content: 'owned' },
  ],
  'a hard link to the file, then a file in its place': (canary) => [
    { name: 'x', type: '1', linkname: canary },
    { name: 'x', content: 'owned' },
  ],
  'a hard link through a link': (canary) => [
    { name: 'up', type: '2', linkname: join(canary, '..') },
    { name: 'x', type: '1', linkname: 'up/canary' },
    { name: 'x', mode: 0o777, content: 'owned' },
  ],
  'a whiteout of the folder above': () => [{ name: '.wh...', content: '' }],
  'a whiteout through a link': (canary) => [
    { name: 'up', type: '2', linkname: join(canary, '..') },
    { name: 'up/.wh.canary', content: '' },
  ],
};

/** Layers that delete the folder `b` and have names in it without an entry for it, and what is there then. */
const deletedAndNamed: readonly (readonly [names: readonly string[], paths: readonly string[]])[] = [
  [['.wh.b', 'b/.wh.x'], []],
  [['b/.wh.x', '.wh.b'], []],
  [['.wh.b', 'b/deep/.wh.x'], []],
  [['.wh.b', 'b/.wh..wh..opq'], []],
  [
    ['.wh.b', 'b/new'],
    ['/b folder 755', '/b/new file 644'],
  ],
  [
    ['.wh.b', 'b/deep/new'],
    ['/b folder 755', '/b/deep folder 755', '/b/deep/new file 644'],
  ],
  [
    ['b/new', '.wh.b'],
    ['/b folder 711', '/b/new file 644'],
  ],
  [
    ['b/.wh.x', 'b/new', '.wh.b'],
    ['/b folder 711', '/b/new file 644'],
  ],
];

/** Applying layers: content, whiteouts, order, concurrency, and archives that are wrong or hostile. */
export function testLayers(under: DriverUnderTest): void {
  test('a layer shows its entries with owners, modes, links, devices, attributes and times', async () => {
    await using rig = new Rig(under);
    const layer = rig.layer(undefined, base);
    const sizes = await rig.driver.apply(layer);
    assert.deepEqual(sizes, { size: 4 + 4 + 3 + 4 + 4 + 1, tarSize: statSync(layer.path).size });
    const listing = await rig.list(layer.chainId);
    const expected: Record<string, RegExp> = {
      '/': /^folder 711 3:4/,
      '/bin/tool': /^file 4755 1000:1001 mtime 1600000000000000000 4 bytes/,
      '/bin/same': /^file 4755 1000:1001 /,
      '/bin/sh': /^symlink .* -> \/bin\/tool$/,
      '/dev/null': /^character device 666 0:0 .* device 259$/,
      '/dev/loop': /^block device 644 0:0 .* device 1050412$/,
      '/pipe': /^fifo 644/,
      '/tagged': /^file 644 0:0 mtime 1500000000123456789 1 bytes \w+ user.tag=value$/,
    };
    for (const [path, pattern] of Object.entries(expected))
      assert.match(listing.get(path) ?? 'missing', pattern, path);
    assert.match(`${listing.get('/bin/same')} ${listing.get('/bin/tool')}`, / = \/bin\/same| = \/bin\/tool/);
  });

  test('a layer without an entry for the root keeps the root of the one below', async () => {
    await using rig = new Rig(under);
    const bottom = await rig.apply(undefined, base);
    const top = await rig.apply(bottom, [{ name: 'new', content: '' }]);
    await rig.driver.prepare('box', top);
    for (const key of [top, 'box'])
      assert.match((await rig.list(key)).get('/') ?? '', /^folder 711 3:4/, key);
  });

  for (const [names, expected] of deletedAndNamed) {
    test(`a layer of ${names.join(', ')} and no more shows ${expected.join(', ') || 'nothing'}`, async () => {
      await using rig = new Rig(under);
      const bottom = await rig.apply(undefined, [
        { name: 'b/', type: '5', mode: 0o711 },
        { name: 'b/x', content: 'x' },
        { name: 'b/deep/x', content: 'x' },
      ]);
      const top = await rig.apply(
        bottom,
        names.map((name) => ({ name })),
      );
      const shown = [...(await rig.list(top))].map(
        ([path, text]) => `${path} ${text.split(' ').slice(0, 2).join(' ')}`,
      );
      assert.deepEqual(shown, ['/ folder 755', ...expected]);
    });
  }

  test('a link in the place of a folder that was only named leads to nothing that changes', async () => {
    await using rig = new Rig(under);
    const outside = rig.plainFolder();
    for (const name of ['known', 'unknown']) mkdirSync(join(outside, name), { mode: 0o755 });
    const bottom = await rig.apply(undefined, [{ name: 'out/known/', type: '5', mode: 0o711, uid: 7 }]);
    const top = await rig.apply(bottom, [
      { name: 'out/known/x', content: '' },
      { name: 'out/unknown/x', content: '' },
      { name: 'out', type: '2', linkname: outside },
      { name: 'in/known/x', content: '' },
      { name: 'other/known/', type: '5', mode: 0o700 },
      { name: 'in', type: '2', linkname: 'other' },
    ]);
    const listing = await rig.list(top);
    assert.match(listing.get('/other/known') ?? 'missing', /^folder 700 0:0 /);
    for (const name of ['known', 'unknown']) {
      const { mode, uid } = statSync(join(outside, name));
      assert.deepEqual([mode & 0o7777, uid], [0o755, 0], name);
    }
  });

  test('whiteouts hide names, opaque folders hide all below, in any order of entries', async () => {
    await using rig = new Rig(under);
    const bottom = await rig.apply(undefined, base);
    const top = await rig.apply(bottom, [
      { name: 'etc/', type: '5' },
      { name: 'etc/.wh.passwd' },
      { name: 'opt/', type: '5' },
      { name: 'opt/new', content: 'new' },
      { name: 'opt/.wh..wh..opq' },
      { name: '.wh.bin' },
      { name: '.wh.never-there' },
    ]);
    const paths = [...(await rig.list(top)).keys()];
    assert.deepEqual(paths, [
      '/',
      '/dev',
      '/dev/loop',
      '/dev/null',
      '/etc',
      '/etc/keep',
      '/opt',
      '/opt/new',
      '/pipe',
      '/tagged',
    ]);
    assert.equal((await rig.list(bottom)).size, 16);
  });

  test('entries replace what is below, whatever its type', async () => {
    await using rig = new Rig(under);
    const bottom = await rig.apply(undefined, base);
    const top = await rig.apply(bottom, [
      { name: 'opt', content: 'a file over a folder' },
      { name: 'pipe/', type: '5' },
      { name: 'pipe/in', content: 'a folder over a fifo' },
      { name: 'etc/', type: '5', mode: 0o700 },
      { name: 'bin/sh', content: 'a file over a link' },
    ]);
    const listing = await rig.list(top);
    assert.match(listing.get('/opt') ?? '', /^file/);
    assert.equal(listing.get('/opt/old'), undefined);
    assert.match(listing.get('/pipe/in') ?? '', /^file/);
    assert.match(listing.get('/etc') ?? '', /^folder 700/);
    assert.match(listing.get('/etc/passwd') ?? '', /^file/);
    assert.match(listing.get('/bin/sh') ?? '', /^file/);
    assert.equal(await rig.within(top, (root) => readFileSync(join(root, 'bin/tool'), 'utf8')), 'tool');
  });

  test('compressed layers come out the same', async () => {
    await using rig = new Rig(under);
    for (const [index, compress] of [gzipSync, zstdCompressSync].entries()) {
      const layer = rig.layer(undefined, [...base, { name: `n${index}` }]);
      const plain = readFileSync(layer.path);
      writeFileSync(layer.path, compress(plain));
      const { tarSize } = await rig.driver.apply(layer);
      assert.equal(tarSize, plain.length);
    }
  });

  test('128 layers are stacked, each seen', async () => {
    await using rig = new Rig(under);
    const plain = rig.plainFolder();
    let top: ChainID | undefined;
    for (let i = 0; i < 128; i++) {
      const entries: TestEntry[] = [
        { name: `own-${i}`, content: String(i) },
        { name: 'last', content: String(i) },
      ];
      writeFileSync(join(plain, `own-${i}`), String(i));
      writeFileSync(join(plain, 'last'), String(i));
      if (i > 0 && i % 10 === 0) {
        entries.push({ name: `.wh.own-${i - 10}` });
        rmSync(join(plain, `own-${i - 10}`));
      }
      top = await rig.apply(top, entries);
    }
    const options = { ignoreTimes: true };
    await rig.driver.prepare('box', top);
    const expected = asObject(listTree(plain, options));
    assert.deepEqual(asObject(await rig.list(top as ChainID, options)), expected);
    assert.deepEqual(asObject(await rig.list('box', options)), expected);
  });

  test('layers of one image are applied in any order where the driver says so', async () => {
    await using rig = new Rig(under);
    const bottom = rig.layer(undefined, base);
    const top = rig.layer(bottom.chainId, [{ name: 'top', content: 'top' }]);
    if (!rig.driver.independentLayers) {
      await assert.rejects(rig.driver.apply(top), { kind: 'not-found' });
      return;
    }
    await rig.driver.apply(top);
    await assert.rejects(rig.driver.mount(top.chainId), { kind: 'not-found' });
    await assert.rejects(rig.driver.prepare('box', top.chainId), {
      kind: 'not-found',
      subject: bottom.chainId,
    });
    await rig.driver.apply(bottom);
    assert.equal((await rig.list(top.chainId)).size, 17);
    await assert.rejects(rig.driver.remove(bottom.chainId), { kind: 'conflict' });
  });

  test('applying one layer many times at once does the work once', async () => {
    await using rig = new Rig(under);
    const layer = rig.layer(undefined, base);
    const before = readdirSync(rig.root).length;
    const results = await Promise.all(Array.from({ length: 5 }, () => rig.driver.apply(layer)));
    for (const result of results) assert.deepEqual(result, results[0]);
    rmSync(layer.path);
    assert.deepEqual(await rig.driver.apply(layer), results[0], 'an applied layer needs no blob');
    await rig.reopen();
    assert.deepEqual(await rig.driver.apply(layer), results[0]);
    assert.deepEqual(
      [...rig.driver.list()].map(({ key }) => key),
      [layer.chainId],
    );
    assert.ok(readdirSync(rig.root).length <= before);
  });

  test('a caller that is cancelled leaves; the work goes on for the others', async () => {
    await using rig = new Rig(under);
    const layer = rig.layer(undefined, base);
    const controller = new AbortController();
    const leaver = rig.driver.apply(layer, { signal: controller.signal });
    const stayer = rig.driver.apply(layer);
    controller.abort();
    await assert.rejects(leaver, { kind: 'cancelled' });
    await stayer;
    assert.ok(rig.driver.has(layer.chainId));
  });

  test('work that everybody has left leaves nothing', async () => {
    await using rig = new Rig(under);
    const layer = rig.layer(undefined, [...base, { name: 'big', content: 'x'.repeat(20 << 20) }]);
    const controller = new AbortController();
    const leaver = rig.driver.apply(layer, { signal: controller.signal });
    controller.abort();
    await assert.rejects(leaver, { kind: 'cancelled' });
    await rig.driver.close();
    assert.deepEqual([...rig.driver.list()], []);
    assert.deepEqual(rig.leftovers(), []);
    await rig.driver.apply(layer);
    assert.ok(rig.driver.has(layer.chainId));
  });

  test('a layer that is not what its DiffID says leaves nothing', async () => {
    await using rig = new Rig(under);
    const layer = rig.layer(undefined, base);
    const wrong = digestOf('wrong');
    await assert.rejects(rig.driver.apply({ ...layer, diffId: wrong, chainId: chainId(undefined, wrong) }), {
      kind: 'data-loss',
      code: 'DIFFID_MISMATCH',
    });
    await rig.driver.close();
    assert.deepEqual([...rig.driver.list()], []);
    assert.deepEqual(rig.leftovers(), []);
  });

  test('a cut, garbled or missing archive leaves nothing', async () => {
    await using rig = new Rig(under);
    const layer = rig.layer(undefined, base);
    const whole = readFileSync(layer.path);
    const garbled = Buffer.from(whole);
    garbled.fill(0xaa, 512, 700);
    for (const bytes of [
      whole.subarray(0, 1300),
      garbled,
      gzipSync(whole).subarray(0, 200),
      Buffer.from('no'),
    ]) {
      writeFileSync(layer.path, bytes);
      await assert.rejects(rig.driver.apply(layer), (error: { kind?: string }) =>
        ['invalid', 'data-loss'].includes(error.kind ?? ''),
      );
    }
    rmSync(layer.path);
    await assert.rejects(rig.driver.apply(layer));
    await rig.driver.close();
    assert.deepEqual([...rig.driver.list()], []);
    assert.deepEqual(rig.leftovers(), []);
  });

  describe('an archive cannot reach out of its layer by', () => {
    for (const [name, entries] of Object.entries(escapes)) {
      test(name, async () => {
        await using rig = new Rig(under);
        const canary = join(rig.root, 'canary');
        writeFileSync(canary, 'safe');
        const before = statSync(canary);
        const others = readdirSync(rig.root).sort();
        const parent = await rig.apply(undefined, base);
        const layer = rig.layer(parent, entries(canary));
        const outcome = await rig.driver.apply(layer).then(
          () => 'applied',
          (error: { kind?: string }) => error.kind,
        );
        assert.ok(outcome === 'applied' || outcome === 'invalid', outcome);
        assert.equal(readFileSync(canary, 'utf8'), 'safe');
        const after = statSync(canary);
        assert.deepEqual([after.mode, after.nlink, after.ino], [before.mode, 1, before.ino]);
        const known = new Set([...others, 'snapshots']);
        assert.deepEqual(
          readdirSync(rig.root).filter((file) => !known.has(file) && !file.startsWith('file-')),
          [],
        );
        if (outcome === 'invalid') assert.ok(!rig.driver.has(layer.chainId));
        await rig.driver.close();
        assert.deepEqual(rig.leftovers(), []);
      });
    }
  });

  test('a whiteout that hides nothing is not seen, whatever the order of the layers', async () => {
    await using rig = new Rig(under);
    const bottom = rig.layer(undefined, [...base, { name: '.wh.nothing' }, { name: 'opt/.wh.nothing' }]);
    const middle = rig.layer(bottom.chainId, [
      { name: 'own/', type: '5' },
      { name: 'own/.wh.nothing' },
      { name: 'own/file' },
      { name: 'etc/.wh.nothing' },
      { name: 'etc/.wh.passwd' },
    ]);
    const order = rig.driver.independentLayers ? [middle, bottom] : [bottom, middle];
    for (const layer of order) await rig.driver.apply(layer);
    for (const { chainId } of order) {
      await rig.within(chainId, (root) => {
        assert.deepEqual(
          readdirSync(root).filter((name) => name.includes('nothing')),
          [],
        );
        assert.deepEqual(readdirSync(join(root, 'opt')), ['more', 'old']);
      });
    }
    await rig.within(middle.chainId, (root) => {
      assert.deepEqual(readdirSync(join(root, 'own')), ['file']);
      assert.deepEqual(readdirSync(join(root, 'etc')), ['keep']);
      assert.equal(statSync(join(root, 'own')).mtimeMs, 1_600_000_000_000);
    });
    const again = await rig.apply(middle.chainId, [{ name: 'new/', type: '5' }, { name: 'new/.wh.nothing' }]);
    await rig.within(again, (root) => assert.deepEqual(readdirSync(join(root, 'new')), []));
  });

  test('a layer that names files without their folders leaves the folders as they were', async () => {
    await using rig = new Rig(under);
    const bottom = rig.layer(undefined, [
      { name: 'private/', type: '5', mode: 0o700, uid: 5, gid: 6, pax: { 'SCHILY.xattr.user.note': 'kept' } },
      { name: 'private/tmp/', type: '5', mode: 0o1777 },
      { name: 'plain', content: 'a file' },
    ]);
    const top = rig.layer(bottom.chainId, [
      { name: 'private/tmp/made/file' },
      { name: 'plain/.wh.nothing' },
      { name: 'nowhere/deep/.wh..wh..opq' },
    ]);
    const third = rig.layer(top.chainId, [{ name: 'private/tmp/made/other' }]);
    const order = rig.driver.independentLayers ? [third, top, bottom] : [bottom, top, third];
    for (const layer of order) await rig.driver.apply(layer);
    const listing = await rig.list(third.chainId, { ignoreTimes: true });
    assert.deepEqual(
      [...listing.keys()],
      [
        '/',
        '/plain',
        '/private',
        '/private/tmp',
        '/private/tmp/made',
        '/private/tmp/made/file',
        '/private/tmp/made/other',
      ],
    );
    assert.equal(listing.get('/private'), 'folder 700 5:6 user.note=kept');
    assert.equal(listing.get('/private/tmp'), 'folder 1777 0:0');
    assert.equal(listing.get('/private/tmp/made'), 'folder 755 0:0');
    assert.match(listing.get('/plain') ?? '', /^file/);
  });

  test('a folder with a layer in the middle that deletes it shows only what came after', async () => {
    await using rig = new Rig(under);
    const bottom = await rig.apply(undefined, base);
    const middle = await rig.apply(bottom, [{ name: '.wh.opt' }]);
    const top = await rig.apply(middle, [
      { name: 'opt/', type: '5' },
      { name: 'opt/new', content: '' },
    ]);
    await rig.within(top, (root) => assert.deepEqual(readdirSync(join(root, 'opt')), ['new']));
    await rig.active('box', top, (root) => mkdirSync(join(root, 'opt/mine')));
    await rig.within('box', (root) =>
      assert.deepEqual(readdirSync(join(root, 'opt')).sort(), ['mine', 'new']),
    );
  });
}
