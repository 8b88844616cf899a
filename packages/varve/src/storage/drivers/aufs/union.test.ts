import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  check,
  fallocate,
  getXattr,
  renameat2,
  seekData,
  seekHole,
  sendSignal,
  setXattr,
  utimensat,
} from '../../../linux/index.ts';
import { writeMapped } from '../../testing/raw-writes.ts';
import { bash, MountedUnion, makeLower as base } from './testing/mounted-union.ts';
import { isServed } from './union-mount.ts';

const currentFolder = -100; // AT_FDCWD
const noReplace = 1;
const exchange = 2;

const rename = (from: string, to: string, flags: number): number =>
  renameat2(currentFolder, from, currentFolder, to, flags);

/** What the branch holds after each kind of change, in AUFS's words. */
const formats: Readonly<Record<string, { readonly act: (root: string) => void; readonly held: string[] }>> = {
  reading: { act: (root) => readFileSync(join(root, 'dir/a')), held: [] },
  'a write to a lower file': {
    act: (root) => appendFileSync(join(root, 'dir/a'), '!'),
    held: ['dir', 'dir/a'],
  },
  'a deleted file': { act: (root) => unlinkSync(join(root, 'dir/a')), held: ['dir', 'dir/.wh.a'] },
  'a deleted folder': {
    act: (root) => rmSync(join(root, 'dir'), { recursive: true }),
    held: ['.wh.dir'],
  },
  'a folder made again': {
    act: (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      mkdirSync(join(root, 'dir'));
    },
    held: ['dir', 'dir/.wh..wh..opq'],
  },
  'a file made again': {
    act: (root) => {
      unlinkSync(join(root, 'file'));
      writeFileSync(join(root, 'file'), 'again');
    },
    held: ['file'],
  },
  'a file in the place of a folder': {
    act: (root) => {
      rmdirSync(join(root, 'empty'));
      writeFileSync(join(root, 'empty'), '');
    },
    held: ['empty'],
  },
  'a new file deleted': {
    act: (root) => {
      writeFileSync(join(root, 'new'), '');
      unlinkSync(join(root, 'new'));
    },
    held: [],
  },
  'a lower file renamed': {
    act: (root) => renameSync(join(root, 'file'), join(root, 'dir/moved')),
    held: ['.wh.file', 'dir', 'dir/moved'],
  },
  'a lower file renamed over another': {
    act: (root) => renameSync(join(root, 'file'), join(root, 'other')),
    held: ['.wh.file', 'other'],
  },
  'a new folder renamed over a deleted one': {
    act: (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      mkdirSync(join(root, 'made'));
      renameSync(join(root, 'made'), join(root, 'dir'));
    },
    held: ['dir', 'dir/.wh..wh..opq'],
  },
  'a second name for a lower file': {
    act: (root) => linkSync(join(root, 'file'), join(root, 'again')),
    held: ['again', 'file'],
  },
  'another mode of a folder': { act: (root) => chmodSync(join(root, 'dir'), 0o700), held: ['dir'] },
};

for (const [what, { act, held }] of Object.entries(formats)) {
  test(`${what} leaves in the branch what AUFS would`, async () => {
    await using union = await MountedUnion.mount([base]);
    act(union.root);
    assert.deepEqual(union.held(), held);
    for (const path of held.filter((name) => name.includes('.wh.'))) {
      assert.equal(lstatSync(join(union.branch, path)).size, 0, path);
    }
  });
}

test('the topmost branch wins, a whiteout in the middle hides the bottom, an opaque folder all below', async () => {
  const middle = (folder: string): void => {
    mkdirSync(join(folder, 'dir/sub'), { recursive: true });
    writeFileSync(join(folder, 'dir/a'), 'middle');
    writeFileSync(join(folder, 'dir/.wh.b'), '');
    writeFileSync(join(folder, 'dir/sub/.wh..wh..opq'), '');
  };
  await using union = await MountedUnion.mount([middle, base]);
  assert.equal(readFileSync(union.at('dir/a'), 'utf8'), 'middle');
  assert.deepEqual(readdirSync(union.at('dir')).sort(), ['a', 'sub']);
  assert.deepEqual(readdirSync(union.at('dir/sub')), []);
  assert.throws(() => readFileSync(union.at('dir/b')), { code: 'ENOENT' });
});

test('names that mean something to AUFS can neither be seen nor made', async () => {
  await using union = await MountedUnion.mount([base]);
  unlinkSync(union.at('file'));
  for (const name of ['.wh.file', '.wh..wh.aufs', '.wh.x']) {
    assert.throws(() => statSync(union.at(name)), { code: 'ENOENT' }, name);
    assert.throws(() => writeFileSync(union.at(name), ''), { code: 'EPERM' }, name);
    assert.throws(() => mkdirSync(union.at(name)), { code: 'EPERM' }, name);
    assert.throws(() => renameSync(union.at('other'), union.at(name)), { code: 'EPERM' }, name);
  }
});

test('renaming a folder of a lower branch gives EXDEV, and mv does it all the same', async () => {
  await using union = await MountedUnion.mount([base]);
  assert.throws(() => renameSync(union.at('dir'), union.at('moved')), { code: 'EXDEV', errno: -18 });
  bash(union.root, 'mv dir moved');
  assert.equal(readFileSync(union.at('moved/sub/c'), 'utf8'), 'dir/sub/c');
  assert.ok(!existsSync(union.at('dir')));
  renameSync(union.at('moved'), union.at('dir'));
  assert.deepEqual(readdirSync(union.at('dir')).sort(), ['a', 'b', 'sub']);
});

test('renameat2 exchanges and does not replace', async () => {
  await using union = await MountedUnion.mount([base]);
  assert.equal(rename(union.at('file'), union.at('other'), noReplace), -17);
  check(rename(union.at('file'), union.at('other'), exchange), 'renameat2', 'file');
  assert.deepEqual(
    ['file', 'other'].map((name) => readFileSync(union.at(name), 'utf8')),
    ['other', 'file'],
  );
  assert.equal(rename(union.at('dir'), union.at('file'), exchange), -18);
});

test('the kernel reads and writes files itself, and the server does where it cannot', async () => {
  const content = Buffer.alloc(3 << 20, 'content');
  for (const passthrough of [true, false]) {
    await using union = await MountedUnion.mount([(folder) => writeFileSync(join(folder, 'big'), content)], {
      passthrough,
    });
    assert.ok(readFileSync(union.at('big')).equals(content));
    writeFileSync(union.at('new'), content);
    appendFileSync(union.at('big'), 'more');
    assert.equal(statSync(union.at('big')).size, content.length + 4);
    assert.ok(readFileSync(union.at('new')).equals(content));
    const { requests, copies, passthrough: offered } = union.statistics();
    assert.equal(copies, 1);
    assert.equal(offered, passthrough);
    if (passthrough) assert.deepEqual([requests.read, requests.write], [undefined, undefined]);
    else assert.ok((requests.read ?? 0) > 0 && (requests.write ?? 0) > 0, JSON.stringify(requests));
  }
});

test('who reads a lower file while it is first written to keeps what it was, by whichever way', async () => {
  await using union = await MountedUnion.mount([base]);
  const fd = openSync(union.at('file'), 'r');
  const { ino } = statSync(union.at('file'));
  appendFileSync(union.at('file'), ' and more');
  const buffer = Buffer.alloc(100);
  assert.equal(buffer.toString('utf8', 0, readSync(fd, buffer, 0, 100, 0)), 'file');
  assert.equal(readFileSync(union.at('file'), 'utf8'), 'file and more');
  assert.equal(statSync(union.at('file')).ino, ino);
  truncateSync(union.at('file'), 2);
  closeSync(fd);
  assert.equal(readFileSync(union.at('file'), 'utf8'), 'fi');
});

test('a file open while it is deleted stays whole, and its name is free', async () => {
  await using union = await MountedUnion.mount([base]);
  for (const [name, text] of [
    ['file', 'file'],
    ['mine', 'mine'],
  ] as const) {
    if (name === 'mine') writeFileSync(union.at(name), text);
    const fd = openSync(union.at(name), name === 'mine' ? 'r+' : 'r');
    unlinkSync(union.at(name));
    writeFileSync(union.at(name), 'another');
    assert.equal(readFileSync(fd, 'utf8'), text);
    if (name === 'mine') writeSync(fd, '!', text.length);
    closeSync(fd);
    assert.equal(readFileSync(union.at(name), 'utf8'), 'another');
  }
});

test('a copy keeps owner, mode, times to the nanosecond, attributes, capabilities and holes', async () => {
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  const make = (folder: string): void => {
    const path = join(folder, 'tool');
    writeFileSync(path, 'x');
    truncateSync(path, 8 << 20);
    chownSync(path, 12, 34);
    chmodSync(path, 0o4755);
    check(setXattr(path, 'user.note', Buffer.from('kept')), 'setxattr', path);
    check(setXattr(path, 'security.capability', capability), 'setxattr', path);
    const time = { seconds: 1_500_000_000, nanoseconds: 123_456_789 };
    check(utimensat(currentFolder, path, time, time), 'utimensat', path);
  };
  await using union = await MountedUnion.mount([make]);
  linkSync(union.at('tool'), union.at('again'));
  const copy = lstatSync(join(union.branch, 'tool'), { bigint: true });
  assert.deepEqual(
    [copy.uid, copy.gid, copy.mode & 0o7777n, copy.mtimeNs, copy.size, copy.nlink],
    [12n, 34n, 0o4755n, 1_500_000_000_123_456_789n, BigInt(8 << 20), 2n],
  );
  assert.ok(copy.blocks <= 16n, `${copy.blocks} blocks`);
  assert.equal(String(getXattr(union.at('again'), 'user.note')), 'kept');
  assert.deepEqual(getXattr(union.at('again'), 'security.capability'), capability);
  assert.equal(lstatSync(union.at('tool')).ino, lstatSync(union.at('again')).ino);
});

test('hard links stay links when one of the names known is written to', async () => {
  const make = (folder: string): void => {
    writeFileSync(join(folder, 'one'), 'x');
    linkSync(join(folder, 'one'), join(folder, 'two'));
  };
  await using union = await MountedUnion.mount([make]);
  assert.equal(statSync(union.at('one')).ino, statSync(union.at('two')).ino);
  appendFileSync(union.at('two'), 'y');
  assert.equal(readFileSync(union.at('one'), 'utf8'), 'xy');
  assert.equal(statSync(union.at('one')).nlink, 2);
  unlinkSync(union.at('two'));
  assert.equal(statSync(union.at('one')).nlink, 1);
});

test('a write by somebody else takes setuid and capabilities away, by root only capabilities', async () => {
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  const make = (folder: string): void => {
    for (const name of ['by-user', 'by-root']) {
      const path = join(folder, name);
      writeFileSync(path, 'x');
      chmodSync(path, 0o4777);
      check(setXattr(path, 'security.capability', capability), 'setxattr', path);
    }
    chmodSync(folder, 0o755);
  };
  await using union = await MountedUnion.mount([make]);
  chmodSync(union.folder, 0o755);
  bash(
    union.root,
    'echo y >> by-root; setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "echo y >> by-user"',
  );
  assert.equal(statSync(union.at('by-root')).mode & 0o7777, 0o4777);
  assert.equal(statSync(union.at('by-user')).mode & 0o7777, 0o777);
  for (const name of ['by-user', 'by-root']) {
    assert.equal(getXattr(union.at(name), 'security.capability'), undefined, name);
  }
});

test('new files get owner, mask, group of a set-group-id folder and default ACL as anywhere', async () => {
  await using union = await MountedUnion.mount([base]);
  const plain = join(union.folder, 'plain');
  mkdirSync(plain);
  for (const root of [union.root, plain]) {
    chmodSync(union.folder, 0o755);
    mkdirSync(join(root, 'open'));
    chmodSync(join(root, 'open'), 0o777);
    mkdirSync(join(root, 'group'));
    chownSync(join(root, 'group'), 0, 77);
    chmodSync(join(root, 'group'), 0o2777);
    bash(root, 'mkdir acl; setfacl -d -m u:12:rwx,g::r acl; chmod 777 acl');
    bash(
      root,
      `setpriv --reuid 1000 --regid 1000 --clear-groups sh -ec 'umask 027; for d in open group acl; do
         echo > $d/file; mkdir $d/dir; mkfifo $d/fifo; ln -s x $d/link; done'`,
    );
  }
  const listing = (root: string): string =>
    bash(
      root,
      'find open group acl | sort | while read f; do stat -c "%n %a %u %g" $f; [ -L $f ] || getfacl -cp $f; done',
    );
  assert.equal(listing(union.root), listing(plain));
});

test('a shared mapping writes to the file, whoever reads and writes it', async () => {
  for (const passthrough of [true, false]) {
    await using union = await MountedUnion.mount([base], { passthrough });
    writeMapped(union.at('file'), Buffer.from('FILE'));
    assert.equal(readFileSync(union.at('file'), 'utf8'), 'FILE');
    // What was mapped is written back by the time the file is closed and synced.
    const fd = openSync(union.at('file'), 'r');
    fsyncSync(fd);
    closeSync(fd);
    assert.equal(readFileSync(join(union.branch, 'file'), 'utf8'), 'FILE');
  }
});

test('space is reserved and holes are found', async () => {
  await using union = await MountedUnion.mount([base]);
  const fd = openSync(union.at('new'), 'w+');
  check(fallocate(fd, 0, 1 << 20), 'fallocate', 'new');
  assert.equal(statSync(union.at('new')).size, 1 << 20);
  truncateSync(union.at('new'), 0);
  writeSync(fd, 'x', 1 << 20);
  assert.equal(seekData(fd, 0), 1 << 20);
  assert.equal(seekHole(fd, 0), 0);
  closeSync(fd);
});

test('names are bytes', async () => {
  const name = Buffer.from('caf\xe9\xff\n', 'latin1');
  const below = (folder: string): Buffer => Buffer.concat([Buffer.from(`${folder}/`), name]);
  await using union = await MountedUnion.mount([(folder) => writeFileSync(below(folder), 'old')]);
  assert.deepEqual(readdirSync(union.root, { encoding: 'buffer' }), [name]);
  writeFileSync(below(union.root), 'new');
  assert.equal(readFileSync(below(union.branch), 'utf8'), 'new');
  unlinkSync(below(union.root));
  assert.deepEqual(readdirSync(union.root), []);
});

test('a name too long for a whiteout can be made and changed, but not deleted from below', async () => {
  const name = 'n'.repeat(252);
  await using union = await MountedUnion.mount([(folder) => writeFileSync(join(folder, name), 'old')]);
  appendFileSync(union.at(name), '!');
  assert.equal(readFileSync(union.at(name), 'utf8'), 'old!');
  assert.throws(() => unlinkSync(union.at(name)), { code: 'ENAMETOOLONG' });
  assert.equal(readFileSync(union.at(name), 'utf8'), 'old!');
});

test('the kernel forgets, and so does the server', async () => {
  await using union = await MountedUnion.mount([base]);
  for (let i = 0; i < 500; i++) writeFileSync(union.at(`file-${i}`), '');
  assert.ok(union.statistics().nodes > 500);
  for (let i = 0; i < 500; i++) unlinkSync(union.at(`file-${i}`));
  const deadline = Date.now() + 10_000;
  while (union.statistics().nodes > 20 && Date.now() < deadline) await delay(5);
  assert.ok(union.statistics().nodes <= 20, JSON.stringify(union.statistics()));
});

test('when its server dies every access fails at once, and the next mount works', async () => {
  await using union = await MountedUnion.mount([base]);
  writeFileSync(union.at('mine'), 'kept');
  const fd = openSync(union.at('dir/a'), 'r');
  sendSignal(union.statistics().pid, 9);
  const deadline = Date.now() + 10_000;
  while (isServed(union.lockFile) && Date.now() < deadline) await delay(5);
  for (const act of [
    () => readFileSync(union.at('other')),
    () => readdirSync(union.root),
    () => writeFileSync(union.at('new'), ''),
  ]) {
    assert.throws(act, { code: 'ENOTCONN' });
  }
  closeSync(fd);
  await union.remount();
  assert.equal(readFileSync(union.at('mine'), 'utf8'), 'kept');
});
