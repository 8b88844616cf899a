import assert from 'node:assert/strict';
import { readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestHex, digestOf } from '../../../oci/index.ts';
import { temporaryRoot } from '../../testing/index.ts';
import { testStorage } from '../testing/suite.ts';
import { FilesystemStorage, lockRoot } from './index.ts';

testStorage({
  name: 'filesystem',
  open: async (t) => {
    const root = temporaryRoot(t);
    const storage = await FilesystemStorage.open(root);
    return { storage, again: () => FilesystemStorage.open(root) };
  },
});

test('keeps its folders from other users', async (t) => {
  const root = temporaryRoot(t);
  await FilesystemStorage.open(root);
  for (const name of readdirSync(root)) assert.equal(statSync(join(root, name)).mode & 0o7, 0, name);
});

test('does not follow a link that stands where a blob or an upload would', async (t) => {
  const root = temporaryRoot(t);
  const storage = await FilesystemStorage.open(root);
  const secret = join(root, 'secret');
  writeFileSync(secret, 'secret');
  const session = await storage.create('planted');
  symlinkSync(secret, join(root, 'uploads', 'planted'));
  await assert.rejects(
    session.append(
      (async function* () {
        yield Buffer.from('overwritten');
      })(),
    ),
  );
  const digest = digestOf('x');
  const blob = await storage.create('blob');
  await blob.append(
    (async function* () {
      yield Buffer.from('x');
    })(),
  );
  await blob.commit(digest);
  const path = join(root, 'blobs', 'sha256', digestHex(digest).slice(0, 2), digestHex(digest));
  await storage.delete(digest);
  symlinkSync(secret, path);
  await assert.rejects(storage.read(digest));
});

test('gives a root to one server at a time', (t) => {
  const root = temporaryRoot(t);
  const lock = lockRoot(root);
  assert.throws(() => lockRoot(root), { code: 'ROOT_IN_USE' });
  lock[Symbol.dispose]();
  lockRoot(root)[Symbol.dispose]();
});
