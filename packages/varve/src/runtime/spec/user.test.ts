import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { findProgram, run } from '../../linux/index.ts';
import { readRootfsFile } from './rootfs-file.ts';
import { parseGroup, parsePasswd, resolveRootfsUser, resolveUser } from './user.ts';

const passwd = parsePasswd(
  'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001::/:\n\n# note\n42:x:7:7::/:\nbad\n',
);
const group = parseGroup('root:x:0:\nann:x:1001:\nwheel:x:10:ann,root\nstaff:x:50:ann\n50:x:99:\n');
const resolve = (user: string, more: readonly string[] = []): unknown =>
  resolveUser(passwd, group, user, more);

test('resolves names, numbers and groups as Docker does', () => {
  const cases: readonly [string, number, number, number[]][] = [
    ['', 0, 0, [0, 10]],
    ['ann', 1000, 1001, [1001, 10, 50]],
    ['1000', 1000, 1001, [1001, 10, 50]],
    ['ann:wheel', 1000, 10, [10]],
    ['ann:1234', 1000, 1234, [1234]],
    ['5:6', 5, 6, [6]],
    ['5', 5, 0, [0]],
    // A name wins over a number.
    ['42', 7, 7, [7]],
    ['ann:50', 1000, 99, [99]],
    [':wheel', 0, 10, [10]],
  ];
  for (const [user, uid, gid, additionalGids] of cases) {
    assert.deepEqual(resolve(user), { uid, gid, additionalGids }, user);
  }
  assert.deepEqual(resolve('5', ['wheel', '77']), { uid: 5, gid: 0, additionalGids: [0, 10, 77] });
});

test('refuses what is no user', () => {
  assert.throws(() => resolve('bob'), {
    message: 'unable to find user bob: no matching entries in passwd file',
  });
  assert.throws(() => resolve('ann:nope'), {
    message: 'unable to find group nope: no matching entries in group file',
  });
  for (const user of ['2147483648', '-1', '99999999999', '0:4294967295']) {
    assert.throws(() => resolve(user), { message: 'uids and gids must be in range 0-2147483647' }, user);
  }
  assert.throws(() => resolve('$(id)'), { kind: 'invalid' });
});

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'varve-user-'));
  mkdirSync(join(root, 'etc'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

test('follows links of the image inside the image only', () => {
  writeFileSync(join(root, 'real'), 'inside:x:5:5::/:\n');
  symlinkSync('/real', join(root, 'etc/passwd'));
  assert.equal(readRootfsFile(root, '/etc/passwd'), 'inside:x:5:5::/:\n');
  // On the host this is a file; in the image it is not there.
  symlinkSync('/../../../etc/hostname', join(root, 'etc/group'));
  assert.equal(readRootfsFile(root, '/etc/group'), undefined);
  symlinkSync('/proc/self/root/etc/hostname', join(root, 'etc/hostname'));
  assert.equal(readRootfsFile(root, '/etc/hostname'), undefined);
  assert.equal(resolveRootfsUser(root, 'inside').uid, 5);
});

test('opens neither a FIFO nor a device nor a folder, and no huge file', async () => {
  const busybox = findProgram('busybox');
  await run(busybox, ['mkfifo', join(root, 'etc/passwd')]);
  assert.throws(() => readRootfsFile(root, '/etc/passwd'), { code: 'BAD_ROOTFS_FILE' });
  await run(busybox, ['mknod', join(root, 'etc/zero'), 'c', '1', '5']);
  assert.throws(() => readRootfsFile(root, '/etc/zero'), { code: 'BAD_ROOTFS_FILE' });
  assert.throws(() => readRootfsFile(root, '/etc'), { code: 'BAD_ROOTFS_FILE' });
  writeFileSync(join(root, 'etc/group'), Buffer.alloc(5 * 1024 * 1024));
  assert.throws(() => readRootfsFile(root, '/etc/group'), { code: 'BAD_ROOTFS_FILE' });
});

test('takes an image without users for one where numbers work', () => {
  assert.deepEqual(resolveRootfsUser(root, '12:34'), { uid: 12, gid: 34, additionalGids: [34] });
  assert.throws(() => resolveRootfsUser(root, 'ann'), { kind: 'invalid' });
});
