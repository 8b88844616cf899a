import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../oci/index.ts';
import { startTestRegistry } from './testing/index.ts';

const quotas = [
  { repository: '**', bytes: '1000B' },
  { namespace: 'team', bytes: '1500B' },
];

test('a push over quota is refused before its bytes are read, and the message says by how much', async (t) => {
  const client = await startTestRegistry(t, { quotas });
  const bytes = Buffer.alloc(1200);
  const path = `/v2/team/a/blobs/uploads/?digest=${digestOf(bytes)}`;
  const refused = await client.call('POST', path, { body: bytes });
  assert.equal(refused.status, 403);
  assert.deepEqual(refused.codes(), ['DENIED']);
  assert.match(
    refused.body.toString(),
    /quota of repository team\/a exceeded: 0B of 1000B are used, and this needs 1.172KiB more/,
  );
  const upload = await client.startUpload('team/a');
  assert.equal((await client.call('PATCH', upload, { body: bytes })).status, 403);
  assert.equal((await client.call('HEAD', `/v2/team/a/blobs/${digestOf(bytes)}`)).status, 404);
});

test('what an upload reserved is free again when it ends, however it ends', async (t) => {
  const client = await startTestRegistry(t, { quotas });
  const first = await client.startUpload('team/a');
  assert.equal((await client.call('PATCH', first, { body: Buffer.alloc(900) })).status, 202);
  const second = await client.startUpload('team/a');
  assert.equal((await client.call('PATCH', second, { body: Buffer.alloc(200) })).status, 403);
  assert.equal((await client.call('DELETE', first)).status, 204);
  const bytes = Buffer.alloc(950, 'x');
  await client.pushBlob('team/a', bytes);
  // The same blob again costs nothing.
  await client.pushBlob('team/a', bytes);
  await assert.rejects(client.pushBlob('team/b', Buffer.alloc(600, 'y')), /namespace team/);
  const mount = `/v2/team/b/blobs/uploads/?mount=${digestOf(bytes)}&from=team/a`;
  assert.equal((await client.call('POST', mount)).status, 403);
  await client.call('DELETE', `/v2/team/a/blobs/${digestOf(bytes)}`);
  await client.pushBlob('team/b', Buffer.alloc(600, 'y'));
});

test('usage is readable, with limits and what running uploads hold', async (t) => {
  const client = await startTestRegistry(t, { quotas });
  await client.pushBlob('team/a', Buffer.alloc(100));
  const upload = await client.startUpload('team/a');
  await client.call('PATCH', upload, { body: Buffer.alloc(50) });
  const usages = [];
  for await (const usage of client.registry.maintenance.usage()) usages.push(usage);
  assert.deepEqual(usages, [
    {
      repository: 'team/a',
      bytes: 100,
      limits: [
        { scope: 'repository', name: 'team/a', limit: 1000, used: 100, reserved: 50 },
        { scope: 'namespace', name: 'team', limit: 1500, used: 100, reserved: 50 },
      ],
    },
  ]);
});
