import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cosignTag, simpleSigningType } from '../../distribution/index.ts';
import { type Digest, digestOf, mediaTypes } from '../../oci/index.ts';
import {
  encode,
  imageManifest,
  indexManifest,
  startTestRegistry,
  type TestRegistry,
  temporaryRoot,
} from '../testing/index.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

async function start(t: TestContext, on: ('push' | 'pull')[]): Promise<TestRegistry> {
  const key = join(temporaryRoot(t), 'key.pem');
  writeFileSync(key, publicKey.export({ type: 'spki', format: 'pem' }));
  const policies = [{ repositories: 'prod/**', on, cosign: { keys: [key] } }];
  return await startTestRegistry(t, { trust: { policies } });
}

/** As cosign does. */
async function signWith(
  key: KeyObject,
  client: TestRegistry,
  repository: string,
  digest: Digest,
): Promise<void> {
  const payload = encode({
    critical: { identity: {}, image: { 'docker-manifest-digest': digest }, type: 'x' },
  });
  const layer = {
    ...(await client.pushBlob(repository, payload, simpleSigningType)),
    annotations: { 'dev.cosignproject.cosign/signature': sign('sha256', payload, key).toString('base64') },
  };
  const config = await client.pushBlob(repository, Buffer.from('{}'), mediaTypes.ociConfig);
  const answer = await client.putManifest(repository, cosignTag(digest), imageManifest(config, [layer]));
  assert.equal(answer.status, 201, answer.body.toString());
}

test('a pull needs a signature that counts, where a policy says so', async (t) => {
  const client = await start(t, ['pull']);
  const image = await client.pushImage('prod/app', 'v1', 'content');
  await client.pushImage('dev/app', 'v1', 'content');
  assert.equal((await client.call('GET', '/v2/dev/app/manifests/v1')).status, 200);
  const refused = await client.call('GET', '/v2/prod/app/manifests/v1');
  assert.equal(refused.status, 403);
  assert.deepEqual(refused.codes(), ['DENIED']);
  assert.match(refused.body.toString(), /asks for signatures.*there is none/);
  assert.equal((await client.call('HEAD', `/v2/prod/app/manifests/${image.digest}`)).status, 403);
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  await signWith(other, client, 'prod/app', image.digest);
  const still = await client.call('GET', '/v2/prod/app/manifests/v1');
  assert.match(still.body.toString(), /none of the trusted keys made it/);
  await signWith(privateKey, client, 'prod/app', image.digest);
  assert.equal((await client.call('GET', '/v2/prod/app/manifests/v1')).status, 200);
  assert.equal((await client.call('GET', `/v2/prod/app/manifests/${cosignTag(image.digest)}`)).status, 200);
});

test('the images of a signed index may be pulled', async (t) => {
  const client = await start(t, ['pull']);
  const image = await client.pushImage('prod/app', 'child', 'content');
  const index = encode(
    indexManifest([{ mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length }]),
  );
  await client.putManifest('prod/app', 'all', index, mediaTypes.ociIndex);
  assert.equal((await client.call('GET', `/v2/prod/app/manifests/${image.digest}`)).status, 403);
  await signWith(privateKey, client, 'prod/app', digestOf(index));
  assert.equal((await client.call('GET', '/v2/prod/app/manifests/all')).status, 200);
  assert.equal((await client.call('GET', `/v2/prod/app/manifests/${image.digest}`)).status, 200);
});

test('a tag is put on what is signed only, where a policy says so', async (t) => {
  const client = await start(t, ['push']);
  const config = await client.pushBlob('prod/app', Buffer.from('{}'), mediaTypes.ociConfig);
  const manifest = encode(imageManifest(config, []));
  const digest = digestOf(manifest);
  const refused = await client.putManifest('prod/app', 'v1', manifest);
  assert.equal(refused.status, 403);
  assert.match(refused.body.toString(), /push it by digest, sign it, then tag it/);
  assert.equal((await client.putManifest('prod/app', digest, manifest)).status, 201);
  await signWith(privateKey, client, 'prod/app', digest);
  assert.equal((await client.putManifest('prod/app', 'v1', manifest)).status, 201);
});

test('a policy whose keys cannot be read keeps the server from starting', async (t) => {
  const policies = [{ repositories: '**', cosign: { keys: ['/nonexistent.pem'] } }];
  await assert.rejects(startTestRegistry(t, { trust: { policies } }), { code: 'TRUST_KEY_INVALID' });
});
