import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import tarStream from 'tar-stream';
import { archive, entryBytes, file, folder } from '../testing/archive.ts';
import { TemporaryFolder } from '../testing/tree.ts';
import type { TarEntry } from './entry.ts';
import { writeChecksum } from './numbers.ts';
import { TarReader } from './reader.ts';
import { encodeEnd } from './writer.ts';

interface Read {
  readonly entry: TarEntry;
  readonly content: Buffer;
}

/** Reads an archive in pieces of `step` bytes; content with its holes filled. */
function readAll(data: Buffer, step = data.length, limits = {}): Read[] {
  const result: Read[] = [];
  let content = Buffer.alloc(0);
  const reader = new TarReader(
    {
      entry: (entry) => {
        content = Buffer.alloc(entry.size);
      },
      data: (slice, position) => void slice.copy(content, position),
      end: (entry) => void result.push({ entry, content }),
    },
    limits,
  );
  for (let at = 0; at < data.length; at += step) reader.feed(data.subarray(at, at + step));
  reader.finish();
  return result;
}

/** Another writer and reader of the format, where the machine has it. */
const pythonMissing = spawnSync('python3', ['--version']).status !== 0 && 'no python3 on this machine';

const names = (read: readonly Read[]): string[] => read.map(({ entry }) => entry.name.toString());

function code(expected: string): (error: unknown) => boolean {
  return (error) => {
    assert.equal((error as { code?: string }).code, expected, String(error));
    return true;
  };
}

const long = 'n'.repeat(120);

/** A folder with what tars find hard. */
function makeTree(root: TemporaryFolder): void {
  execFileSync('/bin/bash', ['-ec', treeScript], { cwd: root.path });
  writeFileSync(Buffer.from(`${root.path}/t/bytes-\xff\xfe`, 'latin1'), 'not utf-8');
}
const treeScript = `
mkdir -p t/${long}/${long}/${long}; echo deep > t/${long}/${long}/${long}/f
echo hello > t/a; ln t/a t/b; ln -s ../${long}/${long}/x t/sl; mkfifo t/ff; mknod t/null c 1 3; mknod t/blk b 259 300
touch -d '1960-01-02 03:04:05.678901234' t/old; touch -d '2300-01-01' t/future
echo owned > t/owned; chown 3000000:4000000 t/owned; chmod 6755 t/owned
truncate -s 20M t/sparse; printf one | dd of=t/sparse bs=1 seek=5000000 conv=notrunc status=none
for i in $(seq 1 40); do printf x | dd of=t/sparse bs=1 seek=$((i*262144)) conv=notrunc status=none; done
mkdir t/empty; : > t/zero
`;

for (const format of [
  'pax',
  'gnu',
  'posix --sparse',
  'gnu --sparse',
  'posix --sparse --sparse-version=0.1',
  'posix --sparse --sparse-version=0.0',
]) {
  test(`reads what GNU tar writes with --format=${format}`, () => {
    using root = new TemporaryFolder();
    makeTree(root);
    execFileSync('tar', [
      '-cf',
      root.join('t.tar'),
      ...`--format=${format}`.split(' '),
      '-C',
      root.path,
      't',
    ]);
    const data = readFileSync(root.join('t.tar'));
    const whole = readAll(data);
    const listed = execFileSync('tar', ['-tf', root.join('t.tar'), '--quoting-style=literal'], {
      encoding: 'latin1',
    });
    assert.deepEqual(
      whole.map(({ entry }) => entry.name.toString('latin1')),
      listed.trimEnd().split('\n'),
    );
    const find = (name: string): Read => {
      const found = whole.find(({ entry }) => entry.name.toString('latin1') === name);
      assert.ok(found, name);
      return found;
    };
    const sparse = find('t/sparse');
    assert.equal(sparse.entry.size, 20 << 20);
    assert.ok(sparse.content.equals(readFileSync(root.join('t/sparse'))), 'content of the sparse file');
    if (format.includes('sparse')) assert.ok(sparse.entry.storedSize < 1 << 20, 'holes are not stored');
    assert.equal(find(`t/${long}/${long}/${long}/f`).content.toString(), 'deep\n');
    assert.equal(find('t/sl').entry.linkName.toString(), `../${long}/${long}/x`);
    assert.equal(find('t/owned').entry.uid, 3_000_000);
    assert.equal(find('t/owned').entry.gid, 4_000_000);
    assert.equal(find('t/owned').entry.mode, 0o6755);
    const { mtime } = find('t/old').entry;
    assert.equal(mtime.seconds, Math.floor(Date.parse('1960-01-02T03:04:05Z') / 1000));
    if (format.startsWith('p')) assert.equal(mtime.nanoseconds, 678_901_234);
    assert.equal(find('t/future').entry.mtime.seconds, Date.parse('2300-01-01T00:00:00Z') / 1000);
    assert.deepEqual([find('t/blk').entry.deviceMajor, find('t/blk').entry.deviceMinor], [259, 300]);
    assert.equal(find('t/bytes-\xff\xfe').content.toString(), 'not utf-8');
    assert.deepEqual(readAll(data, 777), whole, 'pieces of any size give the same');
  });
}

test('reads attributes of GNU tar and of libarchive’s records as bytes', () => {
  using root = new TemporaryFolder();
  execFileSync(
    '/bin/bash',
    ['-ec', 'mkdir t; touch t/f; setfattr -n user.bin -v 0x00ff80fe t/f; setfattr -n user.t -v text t/f'],
    { cwd: root.path },
  );
  execFileSync('tar', ['--xattrs', '-cf', root.join('t.tar'), '-C', root.path, 't']);
  const [, read] = readAll(readFileSync(root.join('t.tar')));
  const values = Object.fromEntries(
    read?.entry.xattrs.map(({ name, value }) => [name.toString(), value.toString('hex')]) ?? [],
  );
  assert.deepEqual(values, { 'user.bin': '00ff80fe', 'user.t': Buffer.from('text').toString('hex') });

  const record = 'LIBARCHIVE.xattr.user.a%20b=AP+A\n';
  const pax = `${record.length + 3} ${record}`;
  const raw = entryBytes({ name: 'PaxHeaders/x', content: pax });
  raw[156] = 'x'.charCodeAt(0);
  writeChecksum(raw.subarray(0, 512));
  const [other] = readAll(Buffer.concat([raw, archive(file('x'))]));
  assert.equal(other?.entry.xattrs[0]?.name.toString(), 'user.a b');
  assert.equal(other?.entry.xattrs[0]?.value.toString('hex'), '00ff80');
});

test('reads what Python’s tarfile writes in its three formats', { skip: pythonMissing }, () => {
  using root = new TemporaryFolder();
  const script = `
import tarfile, io
for name, fmt in (('u', tarfile.USTAR_FORMAT), ('g', tarfile.GNU_FORMAT), ('p', tarfile.PAX_FORMAT)):
    with tarfile.open(name + '.tar', 'w', format=fmt) as t:
        i = tarfile.TarInfo('dir/' + 'x' * 90 + '/' + 'y' * 60); i.size = 3; i.mtime = 12345; t.addfile(i, io.BytesIO(b'abc'))
        d = tarfile.TarInfo('d'); d.type = tarfile.DIRTYPE; t.addfile(d)
        l = tarfile.TarInfo('l'); l.type = tarfile.LNKTYPE; l.linkname = 'd/x'; t.addfile(l)
        if fmt != tarfile.USTAR_FORMAT:
            i = tarfile.TarInfo('z' * 300); i.mtime = -5; t.addfile(i)
`;
  execFileSync('python3', ['-c', script], { cwd: root.path });
  for (const format of ['u', 'g', 'p']) {
    const read = readAll(readFileSync(root.join(`${format}.tar`)));
    const expected = [`dir/${'x'.repeat(90)}/${'y'.repeat(60)}`, 'd/', 'l'];
    if (format !== 'u') {
      expected.push('z'.repeat(300));
      assert.equal(read[3]?.entry.mtime.seconds, -5);
    }
    assert.deepEqual(names(read), expected);
    assert.equal(read[0]?.content.toString(), 'abc');
    assert.equal(read[1]?.entry.type, 'directory');
    assert.equal(read[2]?.entry.linkName.toString(), 'd/x');
  }
});

test('agrees with tar-stream on names, types, sizes and content of a real tree', async () => {
  using root = new TemporaryFolder();
  execFileSync('tar', ['-cf', root.join('t.tar'), '-C', '/', 'etc', 'usr/share/perl5'], { stdio: 'pipe' });
  const data = readFileSync(root.join('t.tar'));
  const theirs: string[] = [];
  const extract = tarStream.extract();
  extract.on('entry', (header, stream, next) => {
    let size = 0;
    stream.on('data', (chunk: unknown) => {
      size += (chunk as Buffer).length;
    });
    stream.on('end', () => {
      theirs.push(
        `${header.type} ${header.name} ${header.linkname ?? ''} ${header.mode?.toString(8)} ${header.uid} ${size}`,
      );
      next();
    });
  });
  await pipeline(Readable.from([data]), extract);
  const type: Record<string, string> = { hardlink: 'link' };
  const ours = readAll(data).map(
    ({ entry, content }) =>
      `${type[entry.type] ?? entry.type} ${entry.name.toString()} ${entry.linkName.toString()} ${entry.mode.toString(8)} ${entry.uid} ${content.length}`,
  );
  assert.deepEqual(ours, theirs);
});

test('takes a global header for all entries and lets a local one win', () => {
  const global = paxEntry('g', { uname: 'everyone', mtime: '77.5', path: 'ignored' });
  const local = paxEntry('x', { uname: 'me' });
  const read = readAll(
    Buffer.concat([global, entryBytes(file('a')), local, entryBytes(file('b')), archive(file('c'))]),
  );
  assert.deepEqual(
    read.map(({ entry }) => [entry.name.toString(), entry.userName.toString(), entry.mtime]),
    [
      ['a', 'everyone', { seconds: 77, nanoseconds: 500_000_000 }],
      ['b', 'me', { seconds: 77, nanoseconds: 500_000_000 }],
      ['c', 'everyone', { seconds: 77, nanoseconds: 500_000_000 }],
    ],
  );
});

/** An extended header; `size` of the record counts itself. */
function paxEntry(flag: 'x' | 'g', records: Record<string, string>): Buffer {
  const text = Object.entries(records)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length++;
      return `${length}${rest}`;
    })
    .join('');
  const raw = entryBytes({ name: 'pax', content: text });
  raw[156] = flag.charCodeAt(0);
  writeChecksum(raw.subarray(0, 512));
  return raw;
}

test('the size of a pax header decides how much content follows', () => {
  const inner = entryBytes(file('smuggled', 'x'));
  const body = Buffer.concat([inner, Buffer.alloc(0)]);
  const header = entryBytes({ name: 'outer', content: '' });
  const read = readAll(
    Buffer.concat([paxEntry('x', { size: String(body.length) }), header, body, encodeEnd()]),
  );
  assert.deepEqual(names(read), ['outer'], 'the entry inside the content is content');
  assert.ok(read[0]?.content.equals(body));
});

test('ignores what follows the end, and takes an archive without its end', () => {
  const data = archive(file('a', 'x'));
  assert.deepEqual(names(readAll(Buffer.concat([data, Buffer.from('trailing garbage'.repeat(100))]))), ['a']);
  assert.deepEqual(names(readAll(data.subarray(0, 1024))), ['a'], 'no zero blocks');
  assert.deepEqual(names(readAll(data.subarray(0, 513))), ['a'], 'no padding either');
  assert.deepEqual(readAll(Buffer.alloc(0)), []);
});

test('says where a damaged archive is damaged', () => {
  const data = archive(folder('d'), file('d/f', 'content'));
  for (const cut of [100, 600, 1030, 1500 - 470]) {
    assert.throws(() => readAll(data.subarray(0, cut)), code('TAR_TRUNCATED'), `cut at ${cut}`);
  }
  assert.throws(
    () => readAll(paxEntry('x', { path: 'a' })),
    code('TAR_TRUNCATED'),
    'an extended header without entry',
  );
  const flipped = Buffer.from(data);
  flipped[520] = 0x7a;
  assert.throws(() => readAll(flipped), /at byte 512/);
  assert.throws(() => readAll(flipped), code('TAR_BAD_CHECKSUM'));
  assert.throws(() => readAll(Buffer.from('this is no tar archive'.repeat(50))), code('TAR_BAD_CHECKSUM'));
  const lone = Buffer.concat([entryBytes(file('a')), Buffer.alloc(512), entryBytes(file('b')), encodeEnd()]);
  assert.throws(() => readAll(lone), code('TAR_BAD_HEADER'));
});

test('bounds what headers may ask for', () => {
  const huge = entryBytes({ name: 'pax', content: '' });
  huge[156] = 'x'.charCodeAt(0);
  huge.write('77777777777', 124);
  writeChecksum(huge.subarray(0, 512));
  assert.throws(() => readAll(huge), code('TAR_LIMIT'));
  const many = Buffer.concat(Array.from({ length: 40 }, () => paxEntry('x', { comment: 'x' })));
  assert.throws(() => readAll(Buffer.concat([many, archive(file('a'))])), code('TAR_LIMIT'));
  assert.throws(() => readAll(archive(file('a'), file('b')), 4096, { maxEntries: 1 }), code('TAR_LIMIT'));
  const eight = paxEntry('x', {
    'GNU.sparse.major': '1',
    'GNU.sparse.minor': '0',
    'GNU.sparse.realsize': '9223372036854775807',
  });
  assert.throws(
    () => readAll(Buffer.concat([eight, archive(file('s', '0\n'.padEnd(512, '\0')))])),
    code('TAR_BAD_PAX'),
  );
  const big = paxEntry('x', {
    'GNU.sparse.major': '1',
    'GNU.sparse.minor': '0',
    'GNU.sparse.realsize': '9007199254740991',
  });
  assert.throws(
    () => readAll(Buffer.concat([big, archive(file('s', '0\n'.padEnd(512, '\0')))])),
    code('TAR_LIMIT'),
  );
});

test('refuses malformed pax records, sparse maps and numbers', () => {
  for (const text of ['x path=a\n', '7 path\n', '999 path=a\n', '11 path=a\0b\n', '5 =a\n', '0 a=b\n']) {
    const raw = entryBytes({ name: 'pax', content: text });
    raw[156] = 'x'.charCodeAt(0);
    writeChecksum(raw.subarray(0, 512));
    assert.throws(
      () => readAll(Buffer.concat([raw, archive(file('a'))])),
      code('TAR_BAD_PAX'),
      JSON.stringify(text),
    );
  }
  for (const map of [
    '1\n5\n',
    '2\n0\n10\n5\n10\n',
    '1\n0\n-3\n',
    '1\n1000\n10\n',
    '99999999999\n',
    'x'.repeat(1500),
  ]) {
    const pax = paxEntry('x', {
      'GNU.sparse.major': '1',
      'GNU.sparse.minor': '0',
      'GNU.sparse.realsize': '20',
    });
    const content = Buffer.concat([
      Buffer.from(map.padEnd(Math.ceil(map.length / 512) * 512, '\0')),
      Buffer.alloc(20),
    ]);
    assert.throws(
      () => readAll(Buffer.concat([pax, archive(file('s', content))])),
      (error: { code?: string }) => error.code === 'TAR_BAD_SPARSE' || error.code === 'TAR_LIMIT',
      JSON.stringify(map.slice(0, 30)),
    );
  }
  const negative = entryBytes(file('a'));
  negative.fill(0xff, 124, 136);
  writeChecksum(negative.subarray(0, 512));
  assert.throws(() => readAll(negative), code('TAR_BAD_HEADER'));
});

test('reads a header whose checksum was computed with signed bytes', () => {
  const header = entryBytes(file(Buffer.from([0x61, 0xff])));
  let sum = 8 * 0x20;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += header.readInt8(i);
  header.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
  assert.equal(readAll(Buffer.concat([header, encodeEnd()]))[0]?.entry.name.toString('latin1'), 'a\xff');
});

test('whatever is done to an archive, it is read or refused, never anything else', () => {
  using root = new TemporaryFolder();
  makeTree(root);
  const samples = ['pax', 'gnu'].map((format) => {
    const path = root.join(`${format}.tar`);
    execFileSync('tar', ['-cf', path, `--format=${format}`, '--sparse', '--xattrs', '-C', root.path, 't']);
    return readFileSync(path);
  });
  let seed = 42;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed % below;
  };
  let refused = 0;
  for (let round = 0; round < 600; round++) {
    const data = Buffer.from(samples[round % 2] as Buffer);
    const headers = data.length / 512;
    for (let i = 0; i <= random(4); i++) {
      const block = random(headers) * 512;
      data[block + random(512)] = random(256);
      // With a right checksum the damage reaches the parser.
      if (random(3) > 0) writeChecksum(data.subarray(block, block + 512));
    }
    const cut = random(5) === 0 ? data.subarray(0, random(data.length)) : data;
    const reader = new TarReader({ entry: () => undefined });
    try {
      reader.feed(cut);
      reader.finish();
    } catch (error) {
      refused++;
      assert.match(String((error as { code?: string }).code), /^TAR_/, String(error));
    }
  }
  assert.ok(refused > 50, `${refused} refused`);
});
