import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Digest, digestOf, mediaTypes } from '../oci/index.ts';
import { encode, imageManifest, startTestRegistry } from './testing/index.ts';

async function start(t: TestContext) {
  const client = await startTestRegistry(t);
  const image = await client.pushImage('app', 'v1', 'content');
  const config = await client.pushBlob('app', Buffer.from('{}'), mediaTypes.ociConfig);
  const subject = { mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length };
  const attach = async (kind: string): Promise<Digest> => {
    const bytes = encode(imageManifest(config, [], { subject, artifactType: `x/${kind}` }));
    const answer = await client.putManifest('app', digestOf(bytes), bytes);
    assert.equal(answer.headers['oci-subject'], image.digest);
    return digestOf(bytes);
  };
  const tag = image.digest.replace(':', '-');
  const listed = async (path: string): Promise<string[]> => {
    const answer = await client.call('GET', path);
    if (answer.status === 404) return [];
    const { manifests } = JSON.parse(answer.body.toString()) as { manifests: { artifactType?: string }[] };
    return manifests.map(({ artifactType }) => artifactType ?? 'none').toSorted();
  };
  return {
    client,
    image,
    tag,
    config,
    subject,
    attach,
    byTag: () => listed(`/v2/app/manifests/${tag}`),
    byApi: () => listed(`/v2/app/referrers/${image.digest}`),
  };
}

test('clients from before the referrers API find the list under its tag, kept in step', async (t) => {
  const { client, attach, byTag, byApi, tag } = await start(t);
  assert.deepEqual(await byTag(), []);
  await attach('signature');
  assert.deepEqual(await byTag(), ['x/signature']);
  const sbom = await attach('sbom');
  assert.deepEqual(await byTag(), ['x/sbom', 'x/signature']);
  const head = await client.call('HEAD', `/v2/app/manifests/${tag}`);
  const digest = String(head.headers['docker-content-digest']);
  assert.equal((await client.call('GET', `/v2/app/manifests/${digest}`)).status, 200);
  await client.call('DELETE', `/v2/app/manifests/${sbom}`);
  assert.deepEqual([await byTag(), await byApi()], [['x/signature'], ['x/signature']]);
});

test('what an older client lists under the tag is in the API, and stays listed', async (t) => {
  const { client, config, subject, attach, byTag, byApi, tag } = await start(t);
  // It pushes the manifest, then the list that it has written itself.
  const bytes = encode(imageManifest(config, [], { subject, artifactType: 'x/old' }));
  await client.putManifest('app', digestOf(bytes), bytes);
  const item = {
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(bytes),
    size: bytes.length,
    artifactType: 'x/old',
  };
  const list = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [item] };
  await client.putManifest('app', tag, list, mediaTypes.ociIndex);
  assert.deepEqual(await byApi(), ['x/old']);
  await Promise.all(['a', 'b', 'c'].map(attach));
  assert.deepEqual(await byTag(), ['x/a', 'x/b', 'x/c', 'x/old']);
  assert.deepEqual(await byApi(), ['x/a', 'x/b', 'x/c', 'x/old']);
});
