import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { writeRootAttributes } from '../index.ts';
import { type ArchiveEntry, archive, file, folder, hardlink, symlink } from '../testing/archive.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';
import { erofsProgram } from '../testing/erofs-utils.ts';
import { MountedIndex } from './testing.ts';

const fsck = erofsProgram('fsck');
const dump = erofsProgram('dump');
const skip = 'missing' in fsck ? fsck.missing : 'missing' in dump ? dump.missing : false;

/** Fails with what the program printed. */
function must(program: typeof fsck, ...args: readonly string[]): string {
  assert.ok(!('missing' in program));
  const [name, ...first] = program;
  const { status, signal, error, stdout, stderr } = spawnSync(name as string, [...first, ...args], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, `${signal} ${error?.message} ${stdout}${stderr}`);
  return stdout;
}

const at = (seconds: number, nanoseconds = 0) => ({ mtime: { seconds, nanoseconds } });
const xattr = (name: string, bytes: number) => ({
  name: Buffer.from(name),
  value: Buffer.alloc(bytes, name),
});

const tortured: readonly ArchiveEntry[] = [
  { ...folder('a', 0o1777), ...at(1_700_000_000, 123_456_789), uid: 70_000, gid: 80_000 },
  { ...file('a/old', 'x'.repeat(100_000)), ...at(-86_400, 5), xattrs: [xattr('user.large', 1000)] },
  hardlink('a/same', 'a/old'),
  symlink('link', '/etc/somewhere'.repeat(10)),
  { name: 'null', type: 'character-device', major: 1, minor: 3 },
  { name: 'disk', type: 'block-device', major: 259, minor: 70_000 },
  { name: 'pipe', type: 'fifo', mode: 0o620 },
  file('a/.wh.gone'),
  folder('opaque'),
  file('opaque/.wh..wh..opq'),
  file('empty'),
  file(Buffer.from([0xff, 0xfe, 0x41]), 'a name that is no text'),
  { ...file('n'.repeat(255), 'a long name'), mode: 0o6755 },
  file('deep/er/and/deeper', 'in folders that have no entry'),
  { ...file('later', 'than 2106'), ...at(2 ** 33) },
];

test('fsck.erofs finds what the kernel shows', { skip }, async () => {
  using made = await MountedIndex.of(archive(...tortured));
  const out = made.folder.join('out');
  must(fsck, `--device=${made.tar}`, '--xattrs', `--extract=${out}`, made.index);
  // It sets times before it fills folders.
  const options = { ignoreFolderTimes: true };
  assert.deepEqual(describeTree(out, options), describeTree(made.root, options));
  assert.equal(describeTree(out).length, 17);
});

test('fsck.erofs reads all of a folder of 100,000 names, and attributes as large as they come', {
  skip,
}, async () => {
  const many = Array.from({ length: 100_000 }, (_, index) => file(`many/${index * 7919}`));
  const large = { ...file('large', 'x'), xattrs: [xattr('user.one', 65_535), xattr('trusted.two', 65_535)] };
  using made = new MountedIndex();
  await made.store(archive(large, folder('many'), ...many));
  must(fsck, `--device=${made.tar}`, '--extract', made.index);
});

test('fsck.erofs reads files with holes, and one whose padding was cut off', { skip }, async () => {
  using source = new TemporaryFolder();
  const holes = source.join('holes');
  writeFileSync(holes, 'start');
  truncateSync(holes, 9 << 20);
  const dd = ['if=/dev/urandom', `of=${holes}`, 'bs=4096', 'count=3', 'seek=2301', 'conv=notrunc'];
  execFileSync('dd', dd, { stdio: 'pipe' });
  const pack = ['--format=pax', '-S', '-C', source.path, '-cf', '-', 'holes'];
  const sparse = execFileSync('tar', pack, { maxBuffer: 64 << 20 });
  const cut = archive(file('cut', 'y'.repeat(700))).subarray(0, 512 + 700);
  for (const tar of [sparse, cut]) {
    using made = await MountedIndex.of(tar);
    const out = made.folder.join('out');
    must(fsck, `--device=${made.tar}`, `--extract=${out}`, made.index);
    assert.deepEqual(describeTree(out), describeTree(made.root));
  }
});

test('dump.erofs reads the superblock, and fsck.erofs an index whose root was changed in place', {
  skip,
}, async () => {
  using made = new MountedIndex();
  const { diffId } = await made.store(archive(...tortured));
  writeRootAttributes(made.index, { mode: 0o750, uid: 7, gid: 8 });
  const shown = must(dump, '-s', `--device=${made.tar}`, made.index);
  assert.match(shown, /blocksize: +512\n/);
  assert.match(shown, /features: +mtime chunked_file device_table/);
  const uuid = /UUID: +([0-9a-f-]+)/.exec(shown)?.[1]?.replaceAll('-', '');
  assert.equal(uuid, diffId.slice(7, 39));
  must(fsck, `--device=${made.tar}`, '--extract', made.index);
});
