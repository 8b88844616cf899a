import assert from 'node:assert/strict';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as linux from './index.ts';

const { check, errno } = linux;
const root = mkdtempSync('/var/tmp/varve-files-');
after(() => rmSync(root, { recursive: true, force: true }));

/** A new folder and a descriptor of it, closed at the end of the scope. */
function folder(name: string): { readonly path: string; readonly fd: number } & Disposable {
  const path = join(root, name);
  mkdirSync(path);
  const fd = openSync(path, constants.O_DIRECTORY);
  return { path, fd, [Symbol.dispose]: () => closeSync(fd) };
}

function stat(fd: number, name: string | Buffer): linux.FileStat {
  const found = linux.statAt(fd, name);
  if (typeof found === 'number') throw new Error(`statx: ${found}`);
  return found;
}

test('openat2 keeps absolute links and .. inside the root', () => {
  using at = folder('openat2');
  mkdirSync(join(at.path, 'etc'));
  writeFileSync(join(at.path, 'etc/hostname'), 'inside');
  symlinkSync('/etc', join(at.path, 'absolute'));
  symlinkSync('../../../../etc', join(at.path, 'up'));
  const open = (name: string, resolve: number): number =>
    linux.openat2(at.fd, name, constants.O_RDONLY, 0, resolve);
  const { inRoot, noMagicLinks, beneath, noSymlinks } = linux.resolveFlags;
  for (const name of ['absolute/hostname', 'up/hostname', '../../etc/hostname', '/etc/hostname']) {
    const fd = check(open(name, inRoot | noMagicLinks), 'openat2', name);
    assert.equal(readFileSync(fd, 'utf8'), 'inside');
    linux.close(fd);
  }
  assert.equal(open('absolute/hostname', beneath), -errno.EXDEV);
  assert.equal(open('absolute/hostname', noSymlinks), -errno.ELOOP);
  assert.equal(open('missing', inRoot), -errno.ENOENT);
  assert.equal(open('x'.repeat(5000), inRoot), -errno.ENAMETOOLONG);
  assert.equal(open('a\0b', inRoot), -errno.EINVAL);
});

test('names are bytes', () => {
  using at = folder('bytes');
  const name = Buffer.from([0x66, 0xff, 0xfe, 0x0a, 0x80]);
  linux.close(
    check(linux.openat(at.fd, name, constants.O_CREAT | constants.O_WRONLY, 0o600), 'openat', name),
  );
  check(linux.symlinkat(name, at.fd, 'link'), 'symlinkat', 'link');
  assert.deepEqual(linux.readlinkat(at.fd, 'link'), name);
  const entries = linux.listFolder(check(linux.openat(at.fd, '.', constants.O_DIRECTORY), 'openat', '.'));
  assert.ok(Array.isArray(entries));
  assert.deepEqual(
    entries.map((entry) => [entry.name, entry.type]).sort(([a], [b]) => (a as Buffer).compare(b as Buffer)),
    [
      [name, 8],
      [Buffer.from('link'), 10],
    ],
  );
});

test('a listing of many names is complete', () => {
  using at = folder('many');
  for (let i = 0; i < 3000; i++)
    check(
      linux.mknodat(at.fd, `file-${i}-${'x'.repeat(100)}`, linux.fileType.regular | 0o600),
      'mknodat',
      `${i}`,
    );
  const fd = check(linux.openat(at.fd, '.', constants.O_DIRECTORY), 'openat', '.');
  const entries = linux.listFolder(fd);
  linux.close(fd);
  assert.ok(Array.isArray(entries));
  assert.equal(new Set(entries.map(({ name }) => name.toString())).size, 3000);
});

test('times keep their nanoseconds, also before 1970', () => {
  using at = folder('times');
  writeFileSync(join(at.path, 'f'), '');
  symlinkSync('nowhere', join(at.path, 'l'));
  const [atime, mtime] = [
    { seconds: -5, nanoseconds: 123_456_789 },
    { seconds: 1_700_000_000, nanoseconds: 1 },
  ];
  for (const name of ['f', 'l']) {
    check(linux.utimensat(at.fd, name, atime, mtime), 'utimensat', name);
    assert.deepEqual([stat(at.fd, name).atime, stat(at.fd, name).mtime], [atime, mtime]);
  }
  const fd = openSync(join(at.path, 'f'), 'r+');
  check(linux.futimens(fd, mtime, atime), 'futimens', 'f');
  const seen = linux.statFd(fd);
  closeSync(fd);
  assert.deepEqual(typeof seen === 'number' ? seen : seen.mtime, atime);
});

test('devices, owners and modes, without following links', () => {
  using at = folder('nodes');
  check(
    linux.mknodat(at.fd, 'dev', linux.fileType.blockDevice, linux.makeDevice(259, 0xabcde)),
    'mknodat',
    'dev',
  );
  const dev = stat(at.fd, 'dev');
  assert.deepEqual(
    [dev.rdevMajor, dev.rdevMinor, dev.mode & linux.fileType.mask],
    [259, 0xabcde, linux.fileType.blockDevice],
  );
  check(linux.fchownat(at.fd, 'dev', 3_000_000_000, 7), 'fchownat', 'dev');
  check(linux.fchmodat(at.fd, 'dev', 0o4755), 'fchmodat', 'dev');
  assert.deepEqual(
    [stat(at.fd, 'dev').uid, stat(at.fd, 'dev').gid, stat(at.fd, 'dev').mode & 0o7777],
    [3_000_000_000, 7, 0o4755],
  );
  writeFileSync(join(at.path, 'target'), '', { mode: 0o600 });
  symlinkSync('target', join(at.path, 'link'));
  assert.ok(linux.fchmodat(at.fd, 'link', 0o777) < 0);
  check(linux.fchownat(at.fd, 'link', 5, 5), 'fchownat', 'link');
  assert.deepEqual([statSync(join(at.path, 'target')).uid, stat(at.fd, 'target').mode & 0o777], [0, 0o600]);
});

test('links, renames and removals say what is in the way', () => {
  using at = folder('links');
  writeFileSync(join(at.path, 'a'), 'a');
  symlinkSync('a', join(at.path, 'l'));
  check(linux.linkat(at.fd, 'l', at.fd, 'l2'), 'linkat', 'l2');
  assert.equal(stat(at.fd, 'l2').inode, stat(at.fd, 'l').inode, 'a link to a link is one');
  assert.equal(linux.linkat(at.fd, 'a', at.fd, 'l'), -errno.EEXIST);
  assert.equal(linux.mkdirat(at.fd, 'a', 0o755), -errno.EEXIST);
  check(linux.mkdirat(at.fd, 'd', 0o755), 'mkdirat', 'd');
  assert.equal(linux.unlinkat(at.fd, 'd'), -errno.EISDIR);
  assert.equal(linux.renameat2(at.fd, 'a', at.fd, 'l', 1), -errno.EEXIST);
  check(linux.renameat2(at.fd, 'a', at.fd, 'd/b'), 'renameat2', 'a');
  assert.equal(linux.rmdirat(at.fd, 'd'), -errno.ENOTEMPTY);
  assert.throws(() => check(linux.rmdirat(at.fd, 'none'), 'unlinkat', 'none'), {
    code: 'ENOENT',
    kind: 'not-found',
  });
  assert.equal(linux.openat(at.fd, 'l', constants.O_RDONLY), -errno.ELOOP);
});

test('attributes are bytes, on files, links and by descriptor', () => {
  using at = folder('xattrs');
  writeFileSync(join(at.path, 'f'), '');
  symlinkSync('f', join(at.path, 'l'));
  const value = Buffer.from([0, 255, 128, 0]);
  const path = linux.pathBelow(at.fd, 'f');
  check(linux.setXattr(path, 'user.bytes', value), 'setxattr', 'f');
  check(linux.setXattr(linux.pathBelow(at.fd, 'l'), 'trusted.link', value), 'setxattr', 'l');
  assert.deepEqual(linux.getXattr(path, 'user.bytes'), value);
  assert.deepEqual(linux.getXattr(linux.pathBelow(at.fd, 'l'), 'trusted.link'), value);
  assert.equal(linux.getXattr(path, 'trusted.link'), undefined, 'it is the link’s');
  const fd = openSync(join(at.path, 'f'), 'r');
  check(linux.setXattr(fd, 'user.empty', Buffer.alloc(0)), 'setxattr', 'f');
  assert.deepEqual(linux.getXattr(fd, 'user.empty'), Buffer.alloc(0));
  const names = linux.listXattrs(fd);
  assert.deepEqual((names as Buffer[]).map(String).sort(), ['user.bytes', 'user.empty']);
  check(linux.removeXattr(fd, 'user.bytes'), 'removexattr', 'f');
  check(linux.removeXattr(path, 'user.empty'), 'removexattr', 'f');
  assert.deepEqual(linux.listXattrs(path), []);
  closeSync(fd);
});

test('holes are seen, files are copied, locked and grown', () => {
  using at = folder('data');
  const fd = openSync(join(at.path, 'f'), 'w+');
  check(linux.ftruncate(fd, 10 << 20), 'ftruncate', 'f');
  assert.equal(linux.seekData(fd, 0), -errno.ENXIO);
  check(linux.fallocate(fd, 12 << 20, 4096), 'fallocate', 'f');
  writeFileSync(join(at.path, 'g'), 'content');
  const from = openSync(join(at.path, 'g'), 'r');
  assert.equal(linux.copyFileRange(from, fd, 100), 7);
  assert.equal(linux.seekData(fd, 0), 0);
  assert.equal(linux.seekHole(fd, 0), 4096);
  assert.equal(statSync(join(at.path, 'f')).size, (12 << 20) + 4096);
  assert.equal(linux.tryLock(fd), true);
  const other = openSync(join(at.path, 'f'), 'r');
  assert.equal(linux.tryLock(other), false);
  check(linux.unlock(fd), 'flock', 'f');
  assert.equal(linux.tryLock(other), true);
  const target = openSync(join(at.path, 'h'), 'w+');
  const cloned = linux.cloneFile(from, target);
  if (cloned < 0) assert.equal(cloned, -errno.EOPNOTSUPP, 'this file system shares no blocks');
  else assert.equal(readFileSync(join(at.path, 'h'), 'utf8'), 'content');
  check(linux.syncfs(fd), 'syncfs', 'f');
  for (const each of [fd, from, other, target]) closeSync(each);
});
