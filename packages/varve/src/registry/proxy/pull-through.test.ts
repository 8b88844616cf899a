import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { digestOf, mediaTypes } from '../../oci/index.ts';
import type { RegistryConfigInput } from '../index.ts';
import { indexManifest, startTestRegistry, type TestRegistry } from '../testing/index.ts';

/** A registry, and one in front of it that keeps what comes through as `up/…`; `asked` counts requests of the first. */
async function startPair(t: TestContext, config: RegistryConfigInput = {}, upstream = {}) {
  const asked: string[] = [];
  const back = await startTestRegistry(
    t,
    {},
    {
      access: {
        identify: () => ({ kind: 'anonymous', name: '', groups: [], via: 'none' }),
        decide: (_, resource, action) => {
          asked.push(`${action} ${resource.name}`);
          return { allowed: true, reason: { text: 'test' } };
        },
        sees: () => true,
        challenge: () => undefined,
      },
    },
  );
  const front = await startTestRegistry(t, {
    ...config,
    proxy: { upstreams: [{ prefix: 'up', remoteurl: back.url, checkinterval: '0s', ...upstream }] },
  });
  return { back, front, asked };
}

async function pull(client: TestRegistry, repository: string, tag: string) {
  const manifest = await client.call('GET', `/v2/${repository}/manifests/${tag}`);
  return { status: manifest.status, digest: manifest.headers['docker-content-digest'] };
}

test('gives what the other registry has, keeps it, and sees when a tag moved', async (t) => {
  const { back, front } = await startPair(t);
  const one = await back.pushImage('team/app', 'v1', 'one');
  assert.deepEqual(await pull(front, 'up/team/app', 'v1'), { status: 200, digest: one.digest });
  const blob = await front.call('GET', `/v2/up/team/app/blobs/${one.layer.digest}`);
  assert.equal(blob.body.toString(), 'one');
  const two = await back.pushImage('team/app', 'v1', 'two');
  assert.equal((await pull(front, 'up/team/app', 'v1')).digest, two.digest);
  const tags = await front.call('GET', '/v2/up/team/app/tags/list');
  assert.deepEqual(JSON.parse(tags.body.toString()), { name: 'up/team/app', tags: ['v1'] });
  assert.equal((await pull(front, 'up/team/app', 'none')).status, 404);
  assert.equal((await pull(front, 'team/app', 'v1')).status, 404);
  await back.call('DELETE', `/v2/team/app/manifests/v1`);
  assert.equal((await pull(front, 'up/team/app', 'v1')).status, 404);
});

test('serves what it has when the other registry is away', async (t) => {
  const { back, front } = await startPair(t);
  const image = await back.pushImage('app', 'v1', 'content');
  const layer = `/v2/up/app/blobs/${image.layer.digest}`;
  await pull(front, 'up/app', 'v1');
  await front.call('GET', layer);
  await back.registry.close();
  assert.deepEqual(await pull(front, 'up/app', 'v1'), { status: 200, digest: image.digest });
  assert.equal((await front.call('GET', layer)).body.toString(), 'content');
  const tags = await front.call('GET', '/v2/up/app/tags/list');
  assert.deepEqual(JSON.parse(tags.body.toString()), { name: 'up/app', tags: ['v1'] });
  assert.equal((await pull(front, 'up/app', 'other')).status, 503);
});

test('fetches a blob once for all who ask at the same time', async (t) => {
  const { back, front, asked } = await startPair(t);
  const content = randomBytes(3_000_000).toString('base64');
  const image = await back.pushImage('app', 'v1', content);
  await pull(front, 'up/app', 'v1');
  asked.length = 0;
  const path = `/v2/up/app/blobs/${image.layer.digest}`;
  const answers = await Promise.all(Array.from({ length: 12 }, () => front.call('GET', path)));
  for (const { body } of answers) assert.equal(digestOf(body), image.layer.digest);
  assert.deepEqual(asked, ['pull app']);
  assert.equal((await front.call('HEAD', path)).status, 200);
});

test('says a blob’s size without fetching it, and has no other blobs', async (t) => {
  const { back, front, asked } = await startPair(t);
  const image = await back.pushImage('app', 'v1', 'content');
  const loose = await back.pushBlob('app', Buffer.from('loose'));
  await pull(front, 'up/app', 'v1');
  asked.length = 0;
  const head = await front.call('HEAD', `/v2/up/app/blobs/${image.layer.digest}`);
  assert.deepEqual([head.status, head.headers['content-length']], [200, '7']);
  assert.equal((await front.call('GET', `/v2/up/app/blobs/${loose.digest}`)).status, 404);
  assert.deepEqual(asked, []);
});

test('a manifest gives nobody a blob that the other registry does not show', async (t) => {
  const { back, front } = await startPair(t);
  const secret = await front.pushBlob('private', Buffer.from('secret'), mediaTypes.ociLayer);
  const config = await back.pushBlob('app', Buffer.from('{}'), mediaTypes.ociConfig);
  const foreign = { ...secret, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar' };
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [foreign] };
  assert.equal((await back.putManifest('app', 'v1', manifest)).status, 201);
  assert.equal((await pull(front, 'up/app', 'v1')).status, 200);
  assert.equal((await front.call('GET', `/v2/up/app/blobs/${secret.digest}`)).status, 404);
});

test('follows an index to its images, takes no pushes, and counts against quotas', async (t) => {
  const { back, front } = await startPair(t, { quotas: [{ namespace: 'up', bytes: '2000B' }] });
  const child = await back.pushImage('app', 'child', 'content');
  const index = indexManifest([
    { mediaType: mediaTypes.ociManifest, digest: child.digest, size: child.bytes.length },
  ]);
  await back.putManifest('app', 'all', index, mediaTypes.ociIndex);
  assert.equal((await pull(front, 'up/app', 'all')).status, 200);
  assert.equal((await pull(front, 'up/app', child.digest)).status, 200);
  const push = await front.call('POST', '/v2/up/app/blobs/uploads/');
  assert.equal(push.status, 403);
  assert.match(push.body.toString(), /comes from 127\.0\.0\.1:\d+\/app: push there/);
  const large = await back.pushImage('app', 'large', 'x'.repeat(5000));
  assert.equal((await pull(front, 'up/app', 'large')).status, 200);
  assert.equal((await front.call('GET', `/v2/up/app/blobs/${large.layer.digest}`)).status, 403);
});

test('drops tags that nobody pulls any more', async (t) => {
  const { back, front } = await startPair(t, {}, { ttl: '1ns' });
  await back.pushImage('app', 'v1', 'content');
  await front.pushImage('own', 'v1', 'content');
  await pull(front, 'up/app', 'v1');
  const removed = [];
  for await (const { repository, decisions } of front.registry.maintenance.retain({})) {
    removed.push(...decisions.filter(({ keep }) => !keep).map(({ tag }) => `${repository}:${tag}`));
  }
  assert.deepEqual(removed, ['up/app:v1']);
});
