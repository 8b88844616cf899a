import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { check, getXattr, mknodat, mount, mountFlags, setXattr, unmount } from '../../linux/index.ts';
import { applyLayer, settleIndex } from '../index.ts';
import { archive, file, folder, hardlink, symlink } from '../testing/archive.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';
import { MountedIndex } from './testing.ts';

const note = { name: Buffer.from('user.note'), value: Buffer.from('kept') };

/** An access-control list as setxattr(2) takes it: rw for the owner and one more user. */
function userMayWrite(uid: number): Buffer {
  const none = 0xffff_ffff;
  const rows = [
    [1, 6, none],
    [2, 6, uid],
    [4, 4, none],
    [0x10, 6, none],
    [0x20, 4, none],
  ] as const;
  const list = Buffer.alloc(4 + 8 * rows.length);
  list.writeUInt32LE(2);
  rows.forEach(([tag, permissions, id], index) => {
    list.writeUInt16LE(tag, 4 + 8 * index);
    list.writeUInt16LE(permissions, 6 + 8 * index);
    list.writeUInt32LE(id, 8 + 8 * index);
  });
  return list;
}

test('the tar stays as it is, and the index is small', async () => {
  using made = new MountedIndex();
  const tar = archive(folder('a'), file('a/b', 'x'.repeat(1_000_000)));
  const stored = await made.store(gzipSync(tar));
  assert.equal(stored.diffId, `sha256:${createHash('sha256').update(tar).digest('hex')}`);
  assert.ok(readFileSync(made.tar).equals(tar));
  assert.ok(statSync(made.index).size < 16_384);
  made.mount();
  assert.equal(readFileSync(`${made.root}/a/b`).length, 1_000_000);
});

test('shows what GNU tar packed: all types, owners, times, attributes, holes, long names', async () => {
  using source = new TemporaryFolder();
  const at = (name: string): string => source.join('tree', name);
  mkdirSync(at('deep/er'), { recursive: true });
  writeFileSync(at('deep/er/file'), 'content');
  writeFileSync(at('empty'), '');
  for (const size of [511, 512, 513, 4095, 4096, 4097, 70_001])
    writeFileSync(at(`size-${size}`), 'x'.repeat(size));
  linkSync(at('deep/er/file'), at('same'));
  execFileSync('ln', ['-s', '../nowhere/'.repeat(40), at('link')]);
  check(mknodat(-100, at('fifo'), 0o010640), 'mknod', 'fifo');
  check(mknodat(-100, at('disk'), 0o060600, 0x1f_ff07n), 'mknod', 'disk');
  writeFileSync(at(`${'long '.repeat(50)}name`), 'long');
  writeFileSync(at('tagged'), 'x');
  check(setXattr(at('tagged'), 'user.note', Buffer.from('kept')), 'setxattr', 'tagged');
  check(setXattr(at('tagged'), 'trusted.big', Buffer.alloc(3000, 7)), 'setxattr', 'tagged');
  check(setXattr(at('tagged'), 'system.posix_acl_access', userMayWrite(7)), 'setxattr', 'tagged');
  execFileSync('chown', ['70000:80000', at('deep')]);
  writeFileSync(at('holes'), 'start');
  truncateSync(at('holes'), 9 << 20);
  execFileSync(
    'dd',
    ['if=/dev/urandom', `of=${at('holes')}`, 'bs=4096', 'count=3', 'seek=1111', 'conv=notrunc'],
    {
      stdio: 'pipe',
    },
  );
  for (const format of [
    ['--format=pax'],
    ['--format=pax', '-S'],
    ['--format=gnu', '-S'],
    ['--format=pax', '-S', '--sparse-version=0.1'],
  ]) {
    const tar = execFileSync(
      'tar',
      [
        ...format,
        '--xattrs',
        '--xattrs-include=*',
        '--acls',
        '--numeric-owner',
        '-C',
        source.join('tree'),
        '-cf',
        '-',
        '.',
      ],
      { maxBuffer: 64 << 20 },
    );
    using made = await MountedIndex.of(tar);
    using unpacked = new TemporaryFolder();
    mkdirSync(unpacked.join('out'));
    const packed = unpacked.join('in.tar');
    writeFileSync(packed, tar);
    execFileSync('tar', [
      '--xattrs',
      '--xattrs-include=*',
      '--acls',
      '--numeric-owner',
      '-C',
      unpacked.join('out'),
      '-xpf',
      packed,
    ]);
    assert.deepEqual(describeTree(made.root), describeTree(unpacked.join('out')), format.join(' '));
  }
});

test('unpacks to what applying the layer under overlayfs gives', async () => {
  const tar = archive(
    folder('lib'),
    symlink('link', 'lib'),
    file('link/through', 'a link'),
    file('twice', 'first'),
    file('twice', 'second, longer'),
    file('was-file', ''),
    folder('was-file'),
    folder('was-folder'),
    file('was-folder/inside', ''),
    file('was-folder', 'now a file'),
    hardlink('hard', 'twice'),
    file('twice', 'third: the hard link keeps the second'),
    symlink('abs', '/lib/through'),
    hardlink('hard-to-link', 'abs'),
    hardlink('hard-through', 'link/through'),
    file('.wh.gone', ''),
    file('lib/.wh.old', ''),
    folder('opaque'),
    file('opaque/.wh..wh..opq', ''),
    file('.wh.back', ''),
    folder('back'),
    folder('stays'),
    file('.wh.stays', ''),
    file('.wh..wh.plnk/x', ''),
    { name: 'old', type: 'fifo', mtime: { seconds: -5, nanoseconds: 999_999_999 } },
    { name: 'far', content: 'x', mtime: { seconds: 20_000_000_000, nanoseconds: 1 } },
    { name: 'null', type: 'character-device', major: 1, minor: 3, mode: 0o666 },
    {
      name: 'nested',
      type: 'directory',
      xattrs: [{ name: Buffer.from('trusted.overlay.opaque'), value: Buffer.from('y') }, note],
    },
    { name: Buffer.from('not-utf8-\xff\xfe', 'latin1'), content: 'bytes' },
  );
  using made = await MountedIndex.of(tar);
  using unpacked = new TemporaryFolder();
  mkdirSync(unpacked.join('out'));
  const result = await applyLayer(
    { path: made.folder.join('layer'), compression: 'none' },
    { root: unpacked.join('out'), whiteouts: 'overlay' },
  );
  assert.ok(result.size > 0);
  const shown = (root: string): string[] =>
    describeTree(root)
      // A whiteout's own time means nothing.
      .map((line) =>
        line.replace(/ 20\d* 0:0 \S+ dev=0,0$/, ' whiteout').replace(/ 20644 0:0 \S+ dev=0,0$/, ' whiteout'),
      )
      // The kernel tells ext4 times before 1901 and after 2446 only.
      .filter((line) => !line.startsWith('/far'));
  assert.deepEqual(shown(made.root), shown(unpacked.join('out')));
  assert.equal(statSync(`${made.root}/far`, { bigint: true }).mtimeNs, 20_000_000_000_000_000_001n);
});

test('hides lower files as overlayfs does', async () => {
  using lower = await MountedIndex.of(
    archive(
      folder('a'),
      file('a/old', ''),
      file('a/kept', ''),
      folder('b'),
      file('b/old', ''),
      file('gone', ''),
    ),
    true,
  );
  using upper = await MountedIndex.of(
    archive(
      file('.wh.gone', ''),
      folder('a'),
      file('a/.wh.old', ''),
      folder('b'),
      file('b/.wh..wh..opq', ''),
      file('b/new', ''),
    ),
  );
  using merged = new TemporaryFolder();
  mount('overlay', merged.path, 'overlay', mountFlags.readOnly, `lowerdir=${upper.root}:${lower.root}`);
  try {
    assert.deepEqual(readdirSync(merged.path).sort(), ['a', 'b']);
    assert.deepEqual(readdirSync(merged.join('a')), ['kept']);
    assert.deepEqual(readdirSync(merged.join('b')), ['new']);
  } finally {
    unmount(merged.path);
  }
});

test('holds a directory of 100,000 names', async () => {
  const names = Array.from({ length: 100_000 }, (_, index) => `big/file number ${index * 7919}`);
  using made = await MountedIndex.of(archive(folder('big'), ...names.map((name) => file(name))));
  assert.equal(readdirSync(`${made.root}/big`).length, 100_000);
  for (const index of [0, 1, 50_000, 99_999]) assert.ok(statSync(`${made.root}/${names[index]}`).isFile());
  assert.throws(() => statSync(`${made.root}/big/file number x`), { code: 'ENOENT' });
});

test('holds attributes as large as they come, 64 KiB but one', async () => {
  const value = Buffer.alloc(65_535, 'v');
  const xattrs = [1, 2, 3].map((number) => ({ name: Buffer.from(`user.n${number}`), value }));
  using made = await MountedIndex.of(archive({ name: 'f', content: 'x', xattrs }, file('g', 'after')));
  const read = getXattr(`${made.root}/f`, 'user.n3');
  assert.ok(read instanceof Buffer && read.equals(value));
  assert.equal(readFileSync(`${made.root}/g`, 'utf8'), 'after');
  using refused = new MountedIndex();
  const tooLarge = [{ name: Buffer.from('user.n'), value: Buffer.alloc(65_536) }];
  await assert.rejects(refused.store(archive({ name: 'f', xattrs: tooLarge })), { code: 'TAR_BAD_XATTR' });
});

test('a file that ends with the archive, its padding cut off, is read whole', async () => {
  const whole = archive(file('f', 'y'.repeat(700)));
  using made = await MountedIndex.of(whole.subarray(0, 512 + 700));
  assert.equal(readFileSync(`${made.root}/f`, 'utf8'), 'y'.repeat(700));
});

test('what the layers below say goes into a new index', async () => {
  using made = new MountedIndex();
  const stored = await made.store(
    archive(
      file('.wh.nothing', ''),
      file('.wh.something', ''),
      file('in/side/file', ''),
      file('bare/.wh.x', ''),
    ),
  );
  assert.deepEqual(stored.open, {
    whiteouts: ['nothing', 'something', 'bare/x'],
    folders: ['in', 'in/side', 'bare'],
  });
  // An index and a folder lie below.
  using index = new MountedIndex();
  const inside = {
    ...folder('in', 0o2750),
    uid: 5,
    gid: 6,
    mtime: { seconds: 7, nanoseconds: 8 },
    xattrs: [note],
  };
  await index.store(archive(inside, file('in/other'), folder('hidden'), file('hidden/.wh..wh..opq')), true);
  using plain = new TemporaryFolder();
  writeFileSync(plain.join('something'), '');
  const settled = made.folder.join('settled.erofs');
  const changed = await settleIndex({
    tar: made.tar,
    diffId: stored.diffId,
    questions: stored.open,
    lowers: [{ index: index.index }, { folder: plain.path }],
    output: settled,
  });
  assert.ok(changed);
  mkdirSync(made.root);
  mount(settled, made.root, 'erofs', mountFlags.readOnly, `device=${made.tar}`);
  try {
    const lines = describeTree(made.root);
    assert.equal(lines[0], '/in 42750 5:6 7.000000008 user.note=6b657074');
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['/in', '/in/side', '/in/side/file', '/something'],
    );
  } finally {
    unmount(made.root);
  }
});
