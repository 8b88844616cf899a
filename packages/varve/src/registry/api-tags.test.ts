import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaTypes } from '../oci/index.ts';
import { indexManifest, startTestRegistry } from './testing/index.ts';

test('an immutable tag is neither moved nor deleted, and the same push again is fine', async (t) => {
  const client = await startTestRegistry(t, { tags: { immutable: [{ tags: ['v*'] }] } });
  const first = await client.pushImage('app', 'v1', 'one');
  await client.pushImage('app', 'v1', 'one');
  const second = await client.pushImage('app', 'latest', 'two');
  const moved = await client.putManifest('app', 'v1', second.bytes);
  assert.equal(moved.status, 409);
  assert.deepEqual(moved.codes(), ['DENIED']);
  assert.match(moved.body.toString(), new RegExp(`tag v1 is immutable and stays at ${first.digest}`));
  assert.equal((await client.call('DELETE', '/v2/app/manifests/v1')).status, 409);
  assert.equal((await client.call('DELETE', `/v2/app/manifests/${first.digest}`)).status, 409);
  assert.equal((await client.call('DELETE', `/v2/app/manifests/${second.digest}`)).status, 202);
  assert.equal(
    (await client.call('HEAD', '/v2/app/manifests/v1')).headers['docker-content-digest'],
    first.digest,
  );
});

test('retention removes what nothing keeps, a pull keeps a tag, and children of a kept index stay', async (t) => {
  const client = await startTestRegistry(t, {
    tags: {
      retention: {
        rules: [{ repositories: 'ci/**', keep: { newest: 1, pulledwithin: '1h', matching: ['v*'] } }],
      },
    },
  });
  const child = await client.pushImage('ci/app', 'child', 'child');
  await client.pushImage('ci/app', 'pulled', 'pulled');
  await client.call('GET', '/v2/ci/app/manifests/pulled');
  await client.putManifest(
    'ci/app',
    'v1',
    indexManifest([{ mediaType: mediaTypes.ociManifest, digest: child.digest, size: child.bytes.length }]),
    mediaTypes.ociIndex,
  );
  await client.pushImage('ci/app', 'newest', 'newest');
  await client.pushImage('other', 'old', 'old');

  const decided = async (dryRun: boolean) => {
    const all = [];
    for await (const { repository, decisions } of client.registry.maintenance.retain({ dryRun })) {
      all.push([repository, ...decisions.filter(({ keep }) => !keep).map(({ tag }) => tag)]);
    }
    return all;
  };
  assert.deepEqual(await decided(true), [['ci/app', 'child']]);
  assert.equal((await client.call('HEAD', '/v2/ci/app/manifests/child')).status, 200);
  assert.deepEqual(await decided(false), [['ci/app', 'child']]);
  assert.equal((await client.call('HEAD', '/v2/ci/app/manifests/child')).status, 404);
  await client.registry.collectGarbage({ graceMs: 0, untagged: true });
  assert.equal((await client.call('HEAD', `/v2/ci/app/manifests/${child.digest}`)).status, 200);
  assert.equal((await client.call('HEAD', '/v2/other/manifests/old')).status, 200);
});
