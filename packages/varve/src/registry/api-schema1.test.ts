import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { schema1SignedType } from '../distribution/index.ts';
import { type KeyPair, signSchema1 } from '../distribution/testing/index.ts';
import { type Digest, digestOf } from '../oci/index.ts';
import type { RegistryConfigInput } from './index.ts';
import { eventually, startTestRegistry, type TestRegistry, temporaryRoot } from './testing/index.ts';

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });

async function start(t: TestContext, more: RegistryConfigInput = {}): Promise<TestRegistry> {
  return await startTestRegistry(t, { compatibility: { schema1: { enabled: true } }, ...more });
}

function makeSchema1(layer: Digest, ...signers: readonly KeyPair[]): { envelope: Buffer; payload: Buffer } {
  return signSchema1(
    {
      schemaVersion: 1,
      name: 'old/app',
      tag: 'v1',
      architecture: 'amd64',
      fsLayers: [{ blobSum: layer }],
      history: [{ v1Compatibility: '{"id":"0"}' }],
    },
    ...signers,
  );
}

test('serves the envelope by tag and by the digest of its payload, keeps its layers, and deletes it', async (t) => {
  const client = await start(t);
  const layer = digestOf('layer');
  const { envelope, payload } = makeSchema1(layer, keys);
  const missing = await client.putManifest('old/app', 'v1', envelope, schema1SignedType);
  assert.deepEqual(missing.codes(), ['MANIFEST_BLOB_UNKNOWN']);
  await client.pushBlob('old/app', Buffer.from('layer'));
  const digest = digestOf(payload);
  const pushed = await client.putManifest('old/app', 'v1', envelope, schema1SignedType);
  assert.equal(pushed.status, 201, pushed.body.toString());
  assert.equal(pushed.headers['docker-content-digest'], digest);
  for (const reference of ['v1', digest]) {
    const got = await client.call('GET', `/v2/old/app/manifests/${reference}`);
    assert.deepEqual(got.body, envelope);
    assert.equal(got.headers['content-type'], schema1SignedType);
    assert.equal(got.headers['docker-content-digest'], digest);
    assert.equal(got.headers['content-length'], String(envelope.length));
  }
  const [usage] = await Array.fromAsync(client.registry.maintenance.usage());
  assert.equal(usage?.bytes, envelope.length + 'layer'.length);
  assert.equal((await client.call('DELETE', `/v2/old/app/blobs/${layer}`)).status, 405);
  await client.registry.collectGarbage({ graceMs: 0 });
  assert.equal((await client.call('HEAD', `/v2/old/app/blobs/${layer}`)).status, 200);
  assert.equal((await client.call('DELETE', `/v2/old/app/manifests/${digest}`)).status, 202);
  await client.registry.collectGarbage({ graceMs: 0 });
  assert.equal((await client.call('HEAD', `/v2/old/app/blobs/${layer}`)).status, 404);
});

test('a page shows that it is there', async (t) => {
  const client = await start(t, { ui: { enabled: true } });
  await client.pushBlob('old/app', Buffer.from('layer'));
  const { envelope } = makeSchema1(digestOf('layer'), keys);
  await client.putManifest('old/app', 'v1', envelope, schema1SignedType);
  const page = await client.call('GET', '/ui/r/old/app/tags/v1', { headers: { accept: 'text/html' } });
  assert.match(page.body.toString(), /old\/app:v1.*prettyjws.*cannot be shown.*schema 1/s);
});

test('a policy takes the signature inside, of a listed key', async (t) => {
  const key = join(temporaryRoot(t), 'key.pem');
  writeFileSync(key, keys.publicKey.export({ type: 'spki', format: 'pem' }));
  const policies = [
    { repositories: 'old/**', on: ['push' as const, 'pull' as const], schema1: { keys: [key] } },
  ];
  const client = await start(t, { trust: { policies } });
  await client.pushBlob('old/app', Buffer.from('layer'));
  const put = (bytes: Buffer, reference = 'v1') =>
    client.putManifest('old/app', reference, bytes, schema1SignedType);
  const untrusted = makeSchema1(digestOf('layer'), other);
  const refused = await put(untrusted.envelope);
  assert.deepEqual(refused.codes(), ['DENIED']);
  assert.match(refused.body.toString(), /none of the trusted keys made it/);
  assert.equal((await put(makeSchema1(digestOf('layer'), keys, other).envelope)).status, 201);
  assert.equal((await client.call('GET', '/v2/old/app/manifests/v1')).status, 200);
});

test('layers of another kind beside those of schema 1 make it no signature that may be pulled', async (t) => {
  const key = join(temporaryRoot(t), 'key.pem');
  writeFileSync(key, keys.publicKey.export({ type: 'spki', format: 'pem' }));
  const policies = [{ repositories: '**', schema1: { keys: [key] } }];
  const client = await start(t, { trust: { policies } });
  await client.pushBlob('old/app', Buffer.from('layer'));
  const { envelope } = signSchema1(
    {
      schemaVersion: 1,
      name: 'old/app',
      tag: 'v1',
      fsLayers: [{ blobSum: digestOf('layer') }],
      history: [{ v1Compatibility: '{}' }],
      layers: [{ mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json' }],
    },
    other,
  );
  assert.equal((await client.putManifest('old/app', 'v1', envelope, schema1SignedType)).status, 201);
  assert.deepEqual((await client.call('GET', '/v2/old/app/manifests/v1')).codes(), ['DENIED']);
});

test('what was pushed is served when the setting is off again, also with records made again from storage', async (t) => {
  const root = temporaryRoot(t);
  const { envelope, payload } = makeSchema1(digestOf('layer'), keys);
  const first = await startTestRegistry(t, { compatibility: { schema1: { enabled: true } } }, { root });
  await first.pushBlob('old/app', Buffer.from('layer'));
  await first.putManifest('old/app', 'v1', envelope, schema1SignedType);
  await first.registry.maintenance.copyRecords();
  await first.registry.close();
  for (const name of ['registry.db', 'registry.db-wal', 'registry.db-shm'])
    rmSync(join(root, name), { force: true });
  const second = await startTestRegistry(t, {}, { root });
  await eventually(
    async () => (await second.call('HEAD', '/v2/old/app/manifests/v1')).status === 200,
    'the tag is back',
  );
  assert.deepEqual((await second.call('GET', '/v2/old/app/manifests/v1')).body, envelope);
  const again = await second.putManifest('old/app', digestOf(payload), envelope, schema1SignedType);
  assert.deepEqual(again.codes(), ['MANIFEST_INVALID']);
});
