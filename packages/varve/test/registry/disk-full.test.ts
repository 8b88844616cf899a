import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/index.ts';
import { atEnd, httpCall } from '../../src/registry/testing/index.ts';
import { run, startServer, temporaryFolder } from './programs.ts';

test('says that the disk is full, keeps serving, and recovers without a restart', async (t) => {
  const folder = temporaryFolder(t);
  const root = join(folder, 'registry');
  mkdirSync(root);
  run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', root]);
  atEnd(t, () => void run(['umount', '--lazy', root]));
  const { url } = await startServer(t, root);
  const push = (content: Buffer) =>
    httpCall(url, 'POST', `/v2/a/blobs/uploads/?digest=${digestOf(content)}`, { body: content });
  const small = randomBytes(64 * 1024);
  assert.equal((await push(small)).status, 201);

  const refused = await push(randomBytes(12 * 1024 * 1024));
  assert.deepEqual([refused.status, refused.codes()], [507, ['UNKNOWN']]);
  assert.deepEqual(readdirSync(join(root, 'uploads')), []);

  const kept = await httpCall(url, 'GET', `/v2/a/blobs/${digestOf(small)}`);
  assert.deepEqual(kept.body, small);
  assert.equal((await push(randomBytes(1024 * 1024))).status, 201);
});
