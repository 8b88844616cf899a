import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { getXattr, mountFilesystem, unmount } from '../../linux/index.ts';
import { applyLayer } from '../apply-layer.ts';
import { type ArchiveEntry, archive, file, folder, hardlink, lowerTree } from '../testing/archive.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';

async function apply(
  root: string,
  whiteouts: 'apply' | 'overlay',
  entries: readonly ArchiveEntry[],
): Promise<void> {
  using temporary = new TemporaryFolder('/tmp');
  mkdirSync(root, { recursive: true });
  writeFileSync(temporary.join('l.tar'), archive(...entries));
  await applyLayer({ path: temporary.join('l.tar'), compression: 'auto' }, { root, whiteouts });
}

function list(root: string): string[] {
  return describeTree(root).map((line) => line.split(' ')[0] as string);
}

interface Stacked {
  readonly name: string;
  readonly layer: readonly ArchiveEntry[];
  readonly shows: readonly string[];
}

const cases: readonly Stacked[] = [
  {
    name: 'a whiteout deletes a file',
    layer: [file('.wh.c')],
    shows: ['/a', '/a/one', '/a/sub', '/a/sub/x', '/a/two', '/b', '/b/f'],
  },
  { name: 'a whiteout deletes a folder with all in it', layer: [file('.wh.a')], shows: ['/b', '/b/f', '/c'] },
  {
    name: 'a whiteout of nothing does nothing',
    layer: [folder('b'), file('b/.wh.nothing'), file('.wh.a')],
    shows: ['/b', '/b/f', '/c'],
  },
  {
    name: 'a whiteout leaves what its own layer brought, before it',
    layer: [folder('a'), file('a/new', 'n'), file('.wh.a')],
    shows: ['/a', '/a/new', '/b', '/b/f', '/c'],
  },
  {
    name: 'a whiteout leaves what its own layer brought, after it',
    layer: [file('.wh.a'), folder('a'), file('a/new', 'n')],
    shows: ['/a', '/a/new', '/b', '/b/f', '/c'],
  },
  {
    name: 'a whiteout and a file of the same name: the file',
    layer: [file('.wh.c'), file('c', 'new')],
    shows: ['/a', '/a/one', '/a/sub', '/a/sub/x', '/a/two', '/b', '/b/f', '/c'],
  },
  {
    name: 'a file and a whiteout of the same name: the file',
    layer: [file('c', 'new'), file('.wh.c')],
    shows: ['/a', '/a/one', '/a/sub', '/a/sub/x', '/a/two', '/b', '/b/f', '/c'],
  },
  {
    name: 'an opaque folder hides what was in it',
    layer: [folder('a'), file('a/.wh..wh..opq'), file('a/new', 'n')],
    shows: ['/a', '/a/new', '/b', '/b/f', '/c'],
  },
  {
    name: 'an opaque mark after its siblings',
    layer: [folder('a'), file('a/new', 'n'), folder('a/sub'), file('a/sub/y', 'y'), file('a/.wh..wh..opq')],
    shows: ['/a', '/a/new', '/a/sub', '/a/sub/y', '/b', '/b/f', '/c'],
  },
  {
    name: 'an opaque mark in a folder that is not in the layer itself',
    layer: [file('a/.wh..wh..opq')],
    shows: ['/a', '/b', '/b/f', '/c'],
  },
  { name: 'a file replaces a folder', layer: [file('a', 'now a file')], shows: ['/a', '/b', '/b/f', '/c'] },
  {
    name: 'a folder replaces a file',
    layer: [folder('c'), file('c/in', 'x')],
    shows: ['/a', '/a/one', '/a/sub', '/a/sub/x', '/a/two', '/b', '/b/f', '/c', '/c/in'],
  },
  {
    name: 'a folder meets a folder and keeps its content',
    layer: [folder('a', 0o700)],
    shows: ['/a', '/a/one', '/a/sub', '/a/sub/x', '/a/two', '/b', '/b/f', '/c'],
  },
  {
    name: 'AUFS’s own files are passed over',
    layer: [
      file('.wh..wh.aufs'),
      folder('.wh..wh.plnk'),
      file('.wh..wh.plnk/1.2', 'x'),
      folder('.wh..wh.orph'),
      file('.wh.b'),
    ],
    shows: ['/a', '/a/one', '/a/sub', '/a/sub/x', '/a/two', '/c'],
  },
  {
    name: 'a later entry replaces an earlier one',
    layer: [
      file('c', 'first'),
      file('c', 'second'),
      folder('d'),
      file('d', 'file'),
      file('e', 'x'),
      folder('e'),
    ],
    shows: ['/a', '/a/one', '/a/sub', '/a/sub/x', '/a/two', '/b', '/b/f', '/c', '/d', '/e'],
  },
];

for (const { name, layer, shows } of cases) {
  test(`${name}, in a full tree as under overlayfs`, async () => {
    using temporary = new TemporaryFolder();
    const full = temporary.join('full');
    await apply(full, 'apply', lowerTree);
    await apply(full, 'apply', layer);
    assert.deepEqual(list(full), shows);

    const [lower, upper, merged] = [
      temporary.join('lower'),
      temporary.join('upper'),
      temporary.join('merged'),
    ];
    await apply(lower, 'overlay', lowerTree);
    await apply(upper, 'overlay', layer);
    mkdirSync(merged);
    mountFilesystem(
      'overlay',
      [
        ['lowerdir+', upper],
        ['lowerdir+', lower],
      ],
      merged,
    );
    try {
      assert.deepEqual(list(merged), shows);
      const ignored = { ignoreXattrs: /^trusted\.overlay\./, ignoreFolderTimes: true };
      assert.deepEqual(
        describeTree(merged, ignored),
        describeTree(full, ignored),
        'the same down to the bytes',
      );
    } finally {
      unmount(merged);
    }
  });
}

test('attributes of overlayfs in an image are escaped under overlayfs and dropped elsewhere', async () => {
  using temporary = new TemporaryFolder();
  const xattr = (name: string): { name: Buffer; value: Buffer } => ({
    name: Buffer.from(name),
    value: Buffer.from('y'),
  });
  const names = [
    'trusted.overlay.opaque',
    'trusted.overlay.redirect',
    'user.overlay.opaque',
    'trusted.other',
    'user.kept',
  ];
  const layer = [{ ...folder('d'), xattrs: names.map(xattr) }];
  await apply(temporary.join('o'), 'overlay', layer);
  await apply(temporary.join('a'), 'apply', layer);
  const has = (root: string, name: string): boolean =>
    getXattr(temporary.join(root, 'd'), name) instanceof Buffer;
  for (const root of ['o', 'a']) {
    for (const name of names.slice(0, 3)) assert.ok(!has(root, name), `${root} ${name}`);
    for (const name of names.slice(3)) assert.ok(has(root, name), `${root} ${name}`);
  }
  assert.ok(has('o', 'trusted.overlay.overlay.opaque'));
  assert.ok(has('o', 'trusted.overlay.overlay.redirect'));
  assert.ok(!has('a', 'trusted.overlay.overlay.opaque'));
});

test('attributes that cannot be are refused, those the file system does not know left out', async () => {
  using temporary = new TemporaryFolder();
  const layer = (name: string, value: Buffer): readonly ArchiveEntry[] => [
    { ...file('f'), xattrs: [{ name: Buffer.from(name), value }] },
  ];
  for (const [name, value] of [
    ['security.capability', Buffer.from('nonsense')],
    [`user.${'x'.repeat(300)}`, Buffer.from('x')],
    ['user.large', Buffer.alloc(100_000)],
  ] as const) {
    await assert.rejects(apply(temporary.join('r'), 'apply', layer(name, value)), {
      code: 'TAR_BAD_XATTR',
      kind: 'invalid',
    });
  }
  await apply(temporary.join('r'), 'apply', layer('nowhere.known', Buffer.from('x')));
});

test('hard links count once in the size, and go over layers in a full tree', async () => {
  using temporary = new TemporaryFolder();
  const root = temporary.join('r');
  await apply(root, 'apply', [file('a', 'content')]);
  writeFileSync(temporary.join('l.tar'), archive(hardlink('b', 'a'), file('c', '12345'), hardlink('d', 'c')));
  const result = await applyLayer(
    { path: temporary.join('l.tar'), compression: 'none' },
    { root, whiteouts: 'apply' },
  );
  assert.equal(result.size, 5);
  assert.equal(result.entries, 3);
  assert.equal(lstatSync(`${root}/a`).ino, lstatSync(`${root}/b`).ino);
  assert.equal(readFileSync(`${root}/d`, 'utf8'), '12345');
});

test('sockets and unknown types: volume labels are passed over, others refused', async () => {
  using temporary = new TemporaryFolder();
  const raw = archive({ name: 'label' }, file('f', 'x'));
  raw[156] = 0x56;
  let sum = 8 * 0x20;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += raw[i] as number;
  raw.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
  writeFileSync(temporary.join('l.tar'), raw);
  mkdirSync(temporary.join('r'));
  const target = { root: temporary.join('r'), whiteouts: 'overlay' } as const;
  await applyLayer({ path: temporary.join('l.tar'), compression: 'none' }, target);
  assert.deepEqual(readdirSync(temporary.join('r')), ['f']);
  raw[156] = 0x4d;
  raw.write((sum - 0x56 + 0x4d).toString(8).padStart(6, '0'), 148, 'latin1');
  writeFileSync(temporary.join('l.tar'), raw);
  await assert.rejects(applyLayer({ path: temporary.join('l.tar'), compression: 'none' }, target), {
    code: 'TAR_UNSUPPORTED_TYPE',
  });
  assert.ok(existsSync(temporary.join('r/f')));
});
