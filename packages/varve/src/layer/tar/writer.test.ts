import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ArchiveEntry, archive, entryBytes, file, folder } from '../testing/archive.ts';
import { TemporaryFolder } from '../testing/tree.ts';
import type { SparseRegion, TarEntry, TarMetadata } from './entry.ts';
import { paddingAfter } from './entry.ts';
import { TarReader } from './reader.ts';
import { encodeEnd, encodeHeader } from './writer.ts';

function read(data: Buffer, step = data.length): { entries: TarEntry[]; contents: Buffer[] } {
  const entries: TarEntry[] = [];
  const contents: Buffer[] = [];
  const reader = new TarReader({
    entry: (entry) => {
      entries.push(entry);
      contents.push(Buffer.alloc(entry.size));
    },
    data: (slice, position) => void slice.copy(contents.at(-1) as Buffer, position),
  });
  for (let at = 0; at < data.length; at += step) reader.feed(data.subarray(at, at + step));
  reader.finish();
  return { entries, contents };
}

const bytes = (min: number, max: number): fc.Arbitrary<Buffer> =>
  fc
    .uint8Array({ minLength: min, maxLength: max, min: 1 })
    .map((array) => Buffer.from(array))
    // A slash at the end would make a file a folder.
    .map((buffer) =>
      buffer.at(-1) === 0x2f ? Buffer.concat([buffer.subarray(0, -1), Buffer.from('x')]) : buffer,
    );

const attribute = fc
  .record({
    name: bytes(1, 40).filter((name) => !name.includes(0x3d)),
    value: fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
  })
  .map(({ name, value }) => ({ name, value }));

const metadata: fc.Arbitrary<TarMetadata> = fc
  .record({
    type: fc.constantFrom(
      'file',
      'directory',
      'symlink',
      'hardlink',
      'fifo',
      'character-device',
      'block-device',
    ),
    name: fc.oneof(bytes(1, 60), bytes(90, 400)),
    linkName: fc.oneof(bytes(1, 60), bytes(90, 400)),
    mode: fc.nat(0o7777),
    uid: fc.oneof(fc.nat(70_000), fc.nat(0xffff_fffe)),
    gid: fc.oneof(fc.nat(70_000), fc.nat(0xffff_fffe)),
    userName: bytes(0, 60),
    groupName: bytes(0, 60),
    size: fc.nat(3000),
    mtime: fc.record({
      seconds: fc.oneof(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), fc.nat(2 ** 31 - 1)),
      nanoseconds: fc.oneof(fc.constant(0), fc.nat(999_999_999)),
    }),
    deviceMajor: fc.nat(4095),
    deviceMinor: fc.nat(0xf_ffff),
    xattrs: fc.uniqueArray(attribute, { maxLength: 4, selector: ({ name }) => name.toString('latin1') }),
  })
  .map((raw): TarMetadata => {
    const device = raw.type.endsWith('device');
    return {
      ...raw,
      mtime: { ...raw.mtime },
      type: raw.type,
      linkName: raw.type.endsWith('link') ? raw.linkName : Buffer.alloc(0),
      size: raw.type === 'file' ? raw.size : 0,
      deviceMajor: device ? raw.deviceMajor : 0,
      deviceMinor: device ? raw.deviceMinor : 0,
    };
  });

test('what is written reads back the same, whatever the bytes and however they are cut', () => {
  fc.assert(
    fc.property(fc.array(metadata, { maxLength: 5 }), fc.integer({ min: 1, max: 2000 }), (list, step) => {
      const data = Buffer.concat([
        ...list.flatMap((item) => [
          encodeHeader(item),
          Buffer.alloc(item.size, item.mode & 0xff),
          Buffer.alloc(paddingAfter(item.size)),
        ]),
        encodeEnd(),
      ]);
      assert.equal(data.length % 512, 0);
      const { entries, contents } = read(data, step);
      assert.equal(entries.length, list.length);
      for (const [i, item] of list.entries()) {
        const entry = entries[i] as TarEntry;
        const expected = item.type === 'directory' ? Buffer.concat([item.name, Buffer.from('/')]) : item.name;
        assert.deepEqual(entry.name, expected);
        for (const key of [
          'type',
          'linkName',
          'mode',
          'uid',
          'gid',
          'userName',
          'groupName',
          'size',
          'mtime',
          'deviceMajor',
          'deviceMinor',
        ] as const) {
          assert.deepEqual(entry[key], item[key], key);
        }
        const sorted = [...item.xattrs].sort((a, b) => a.name.compare(b.name));
        assert.deepEqual(
          [...entry.xattrs].sort((a, b) => a.name.compare(b.name)),
          sorted,
        );
        assert.ok(contents[i]?.every((byte) => byte === (item.mode & 0xff)));
      }
    }),
    { numRuns: 300 },
  );
});

test('sparse files keep their holes', () => {
  const regions = fc
    .uniqueArray(fc.nat(400), { minLength: 0, maxLength: 20 })
    .map((points) => points.sort((a, b) => a - b))
    .map((points): SparseRegion[] => {
      const map: SparseRegion[] = [];
      for (let i = 0; i + 1 < points.length; i += 2) {
        const [from, to] = [points[i] as number, points[i + 1] as number];
        map.push({ offset: from * 100, size: (to - from) * 100 });
      }
      return map;
    });
  fc.assert(
    fc.property(regions, fc.integer({ min: 1, max: 3000 }), (map, step) => {
      const size = 50_000;
      const content = Buffer.alloc(size);
      for (const { offset, size: length } of map) content.fill(0x61, offset, offset + length);
      const stored = Buffer.concat(
        map.map(({ offset, size: length }) => content.subarray(offset, offset + length)),
      );
      const header = encodeHeader(
        {
          type: 'file',
          name: Buffer.from('sparse'),
          linkName: Buffer.alloc(0),
          mode: 0o644,
          uid: 0,
          gid: 0,
          userName: Buffer.alloc(0),
          groupName: Buffer.alloc(0),
          size,
          mtime: { seconds: 0, nanoseconds: 0 },
          deviceMajor: 0,
          deviceMinor: 0,
          xattrs: [],
        },
        map,
      );
      const data = Buffer.concat([header, stored, Buffer.alloc(paddingAfter(stored.length)), encodeEnd()]);
      const { entries, contents } = read(data, step);
      assert.equal(entries[0]?.name.toString(), 'sparse');
      assert.equal(entries[0]?.storedSize, stored.length);
      assert.ok(contents[0]?.equals(content));
    }),
    { numRuns: 200 },
  );
});

test('plain entries take one ustar header, as every tar reads it', () => {
  const plain = entryBytes({ name: 'bin/sh', content: 'x', uid: 1000, gid: 1000 });
  assert.equal(plain.length, 1024);
  assert.equal(plain.toString('latin1', 257, 265), 'ustar\x0000');
  const split = encodeHeader(entryOf({ name: `${'d'.repeat(100)}/${'f'.repeat(90)}` }));
  assert.equal(split.length, 512, 'a long name goes into the prefix field');
  const pax = encodeHeader(entryOf({ name: 'f', mtime: { seconds: 5, nanoseconds: 250_000_000 } }));
  assert.match(pax.toString('latin1', 512, 540), /^14 mtime=5\.25\n\0/);
});

function entryOf(entry: ArchiveEntry): TarMetadata {
  const { entries } = read(archive(entry));
  return entries[0] as TarMetadata;
}

const long = 'ü'.repeat(150);
const sample = archive(
  folder('d'),
  {
    name: `d/${long}`,
    content: 'content',
    uid: 3_000_000,
    mtime: { seconds: 5, nanoseconds: 500_000_000 },
  },
  { name: 'd/link', type: 'symlink', link: long },
  { name: 'd/hard', type: 'hardlink', link: `d/${long}` },
  { name: 'd/null', type: 'character-device', major: 1, minor: 3 },
  { ...file('d/x'), xattrs: [{ name: Buffer.from('user.k'), value: Buffer.from('v') }] },
);

test('GNU tar reads what is written', () => {
  using root = new TemporaryFolder();
  writeFileSync(root.join('t.tar'), sample);
  const listed = execFileSync(
    'tar',
    ['-tvf', root.join('t.tar'), '--numeric-owner', '--full-time', '--quoting-style=literal'],
    {
      env: { ...process.env, TZ: 'UTC' },
    },
  ).toString();
  assert.ok(listed.includes(`3000000/0`), listed);
  assert.ok(listed.includes(`1970-01-01 00:00:05.5 d/${long}`), listed);
  assert.ok(listed.includes(`d/link -> ${long}`), listed);
  assert.ok(listed.includes(`d/hard link to d/${long}`), listed);
  assert.ok(listed.includes('1,3'), listed);
});

const pythonMissing = spawnSync('python3', ['--version']).status !== 0 && 'no python3 on this machine';

test('Python reads what is written', { skip: pythonMissing }, () => {
  using root = new TemporaryFolder();
  writeFileSync(root.join('t.tar'), sample);
  const python =
    'import tarfile,sys\nfor m in tarfile.open(sys.argv[1]): print(m.name, m.size, m.uid, m.pax_headers.get("SCHILY.xattr.user.k"))';
  const shown = execFileSync('python3', ['-c', python, root.join('t.tar')]).toString();
  assert.ok(shown.includes(`d/${long} 7 3000000 None`), shown);
  assert.ok(shown.includes('d/x 0 0 v'), shown);
});

test('refuses what the format cannot hold', () => {
  const thrown = (entry: ArchiveEntry): void => {
    assert.throws(() => entryBytes(entry), { code: 'TAR_BAD_NAME' });
  };
  thrown({ name: 'a\0b' });
  thrown({ name: '' });
  thrown({ name: 'a', xattrs: [{ name: Buffer.from('user.a=b'), value: Buffer.alloc(0) }] });
});
