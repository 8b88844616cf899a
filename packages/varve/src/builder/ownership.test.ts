import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolveOwner, resolveUser } from './ownership.ts';
import { raw } from './raw-path.ts';
import { TestFolder } from './testing/folder.ts';

test('names owners by the files of the image', () => {
  using folder = new TestFolder();
  const root = raw(
    folder.write({
      'etc/passwd': 'root:x:0:0::/:\napp:x:1000:50::/:\n',
      'etc/group': 'root:x:0:\napp:x:1001:\nstaff:x:50:\n',
    }),
  );
  assert.deepEqual(resolveOwner(root, '7:8'), { uid: 7, gid: 8 });
  assert.deepEqual(resolveOwner(root, '7'), { uid: 7, gid: 7 });
  assert.deepEqual(resolveOwner(root, 'app'), { uid: 1000, gid: 1001 });
  assert.deepEqual(resolveOwner(root, 'app:staff'), { uid: 1000, gid: 50 });
  assert.deepEqual(resolveUser(root, 'app'), { uid: 1000, gid: 50 });
  assert.deepEqual(resolveUser(root, ''), { uid: 0, gid: 0 });
  assert.throws(() => resolveOwner(root, 'nobody'), {
    message:
      "unable to convert uid/gid chown string to host mapping: can't find uid for user nobody: no such user: nobody",
  });
});

test('does not read the files of the host through a link', () => {
  using folder = new TestFolder();
  const root = folder.write({ 'etc/': '' });
  symlinkSync('/etc/passwd', join(root, 'etc/passwd'));
  assert.throws(() => resolveOwner(raw(root), 'root'), { code: 'ELOOP' });
  const other = folder.write({ 'etc/': '' }, 'other');
  symlinkSync('../../../../../../etc/passwd', join(other, 'etc/group'));
  assert.throws(() => resolveOwner(raw(other), '0:root'), { code: 'NO_SUCH_OWNER' });
});
