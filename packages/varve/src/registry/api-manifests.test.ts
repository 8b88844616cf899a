import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Descriptor, digestOf, mediaTypes } from '../oci/index.ts';
import { encode, imageManifest, indexManifest, startTestRegistry } from './testing/index.ts';

test('gives a manifest back byte for byte, by tag and by digest', async (t) => {
  const registry = await startTestRegistry(t);
  const { digest, bytes } = await registry.pushImage('a/b', 'v1', 'one');
  for (const reference of ['v1', digest]) {
    for (const method of ['GET', 'HEAD']) {
      const answer = await registry.call(method, `/v2/a/b/manifests/${reference}`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['content-type'], mediaTypes.ociManifest);
      assert.equal(answer.headers['docker-content-digest'], digest);
      assert.equal(answer.headers['content-length'], String(bytes.length));
      assert.equal(answer.headers.etag, `"${digest}"`);
      assert.deepEqual(answer.body, method === 'GET' ? bytes : Buffer.alloc(0));
    }
  }
});

test('answers 304 to a client that has the manifest', async (t) => {
  const registry = await startTestRegistry(t);
  const { digest } = await registry.pushImage('a', 'v1', 'one');
  const answer = await registry.call('GET', '/v2/a/manifests/v1', {
    headers: { 'If-None-Match': `"${digest}"` },
  });
  assert.equal(answer.status, 304);
});

test('moves a tag and keeps the manifest it left', async (t) => {
  const registry = await startTestRegistry(t);
  const one = await registry.pushImage('a', 'latest', 'one');
  const two = await registry.pushImage('a', 'latest', 'two');
  assert.equal(
    (await registry.call('HEAD', '/v2/a/manifests/latest')).headers['docker-content-digest'],
    two.digest,
  );
  assert.equal((await registry.call('HEAD', `/v2/a/manifests/${one.digest}`)).status, 200);
});

test('does not know what was not pushed', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushImage('a', 'v1', 'one');
  for (const target of ['a/manifests/v2', `a/manifests/${digestOf('x')}`, 'none/manifests/v1']) {
    const answer = await registry.call('GET', `/v2/${target}`);
    assert.deepEqual([answer.status, answer.codes()], [404, ['MANIFEST_UNKNOWN']]);
    assert.equal((await registry.call('HEAD', `/v2/${target}`)).status, 404);
  }
});

test('refuses a manifest whose blobs the repository lacks, naming each', async (t) => {
  const registry = await startTestRegistry(t);
  const config = await registry.pushBlob('elsewhere', Buffer.from('{}'));
  const layer = { mediaType: mediaTypes.ociLayer, digest: digestOf('absent'), size: 6 };
  const answer = await registry.putManifest('a', 'v1', imageManifest(config, [layer]));
  assert.deepEqual(
    [answer.status, answer.codes()],
    [400, ['MANIFEST_BLOB_UNKNOWN', 'MANIFEST_BLOB_UNKNOWN']],
  );
  assert.match(answer.body.toString(), new RegExp(layer.digest));
  assert.deepEqual((await registry.call('GET', '/v2/_catalog')).json(), { repositories: ['elsewhere'] });
});

test('refuses a descriptor with a size that is not the blob’s', async (t) => {
  const registry = await startTestRegistry(t);
  const config = await registry.pushBlob('a', Buffer.from('{}'));
  const answer = await registry.putManifest('a', 'v1', imageManifest({ ...config, size: 3 }, []));
  assert.deepEqual([answer.status, answer.codes()], [400, ['SIZE_INVALID']]);
});

test('takes layers that may not be distributed without their bytes', async (t) => {
  const registry = await startTestRegistry(t);
  const config = await registry.pushBlob('a', Buffer.from('{}'));
  const foreign: Descriptor = {
    mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    digest: digestOf('elsewhere'),
    size: 9,
    urls: ['https://example.com/layer'],
  };
  assert.equal((await registry.putManifest('a', 'v1', imageManifest(config, [foreign]))).status, 201);
});

test('takes an index, nested and sparse ones too', async (t) => {
  const registry = await startTestRegistry(t);
  const image = await registry.pushImage('a', 'v1', 'one');
  const child = { mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length };
  const absent = { ...child, digest: digestOf('not here') };
  const inner = encode(indexManifest([child, absent]));
  assert.equal((await registry.putManifest('a', digestOf(inner), inner, mediaTypes.ociIndex)).status, 201);
  const outer = encode(
    indexManifest([{ mediaType: mediaTypes.ociIndex, digest: digestOf(inner), size: inner.length }]),
  );
  assert.equal((await registry.putManifest('a', 'all', outer, mediaTypes.ociIndex)).status, 201);
  assert.equal((await registry.putManifest('a', 'none', indexManifest([]), mediaTypes.ociIndex)).status, 201);
  assert.deepEqual((await registry.call('GET', '/v2/a/manifests/all')).body, outer);
});

test('takes sha512 manifests and Docker’s and unknown types', async (t) => {
  const registry = await startTestRegistry(t);
  const config = await registry.pushBlob('a', Buffer.from('{}'));
  const bytes = encode(imageManifest(config, []));
  const digest = digestOf(bytes, 'sha512');
  const answer = await registry.putManifest('a', digest, bytes);
  assert.deepEqual([answer.status, answer.headers['docker-content-digest']], [201, digest]);
  assert.deepEqual((await registry.call('GET', `/v2/a/manifests/${digest}`)).body, bytes);
  const docker = { schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config, layers: [] };
  assert.equal((await registry.putManifest('a', 'docker', docker, mediaTypes.dockerManifest)).status, 201);
  assert.equal(
    (await registry.putManifest('a', 'other', Buffer.from('x'), 'application/x.thing')).status,
    201,
  );
  const other = await registry.call('GET', '/v2/a/manifests/other');
  assert.deepEqual([other.headers['content-type'], other.body.toString()], ['application/x.thing', 'x']);
});

test('refuses a manifest under a digest it does not have', async (t) => {
  const registry = await startTestRegistry(t);
  const bytes = encode(indexManifest([]));
  for (const reference of [digestOf('x'), 'sha256:baddigeststring', `sha512:${'0'.repeat(64)}`]) {
    const answer = await registry.putManifest('a', reference, bytes, mediaTypes.ociIndex);
    assert.deepEqual([answer.status, answer.codes()], [400, ['DIGEST_INVALID']]);
  }
});

test('takes a manifest of four mebibytes and refuses a larger one with 413', async (t) => {
  const registry = await startTestRegistry(t);
  const limit = 4 * 1024 * 1024;
  const padded = (size: number): Buffer => {
    const empty = encode(indexManifest([], { annotations: { fill: '' } }));
    return encode(indexManifest([], { annotations: { fill: 'x'.repeat(size - empty.length) } }));
  };
  assert.equal((await registry.putManifest('a', 'large', padded(limit), mediaTypes.ociIndex)).status, 201);
  const known = await registry.putManifest('a', 'larger', padded(limit + 1), mediaTypes.ociIndex);
  assert.deepEqual([known.status, known.codes()], [413, ['MANIFEST_INVALID']]);
  const stream = (async function* () {
    yield padded(limit + 1);
  })();
  const unknown = await registry.call('PUT', '/v2/a/manifests/larger', { body: stream });
  assert.equal(unknown.status, 413);
});

test('points several tags at one push', async (t) => {
  const registry = await startTestRegistry(t);
  const bytes = encode(indexManifest([]));
  const tags = Array.from({ length: 12 }, (_, index) => `t${index}`);
  const query = tags.map((tag) => `tag=${tag}`).join('&');
  const answer = await registry.putManifest('a', `${digestOf(bytes)}?${query}`, bytes, mediaTypes.ociIndex);
  assert.equal(answer.status, 201);
  assert.equal(answer.headers['oci-tag'], tags.join(', '));
  assert.equal((await registry.call('HEAD', '/v2/a/manifests/t11')).status, 200);
  const bad = await registry.putManifest(
    'a',
    `${digestOf(bytes)}?tag=ok&tag=.no`,
    bytes,
    mediaTypes.ociIndex,
  );
  assert.deepEqual([bad.status, bad.codes()], [400, ['TAG_INVALID']]);
  assert.equal((await registry.call('HEAD', '/v2/a/manifests/ok')).status, 404);
});

test('deletes a tag and leaves the manifest and its other tags', async (t) => {
  const registry = await startTestRegistry(t);
  const { digest } = await registry.pushImage('a', 'v1', 'one');
  await registry.pushImage('a', 'v2', 'one');
  assert.equal((await registry.call('DELETE', '/v2/a/manifests/v1')).status, 202);
  assert.equal((await registry.call('HEAD', '/v2/a/manifests/v1')).status, 404);
  assert.equal((await registry.call('HEAD', '/v2/a/manifests/v2')).status, 200);
  assert.equal((await registry.call('HEAD', `/v2/a/manifests/${digest}`)).status, 200);
  assert.equal((await registry.call('DELETE', '/v2/a/manifests/v1')).status, 404);
});

test('deletes a manifest with every tag on it', async (t) => {
  const registry = await startTestRegistry(t);
  const { digest } = await registry.pushImage('a', 'v1', 'one');
  await registry.pushImage('a', 'v2', 'one');
  assert.equal((await registry.call('DELETE', `/v2/a/manifests/${digest}`)).status, 202);
  for (const reference of ['v1', 'v2', digest]) {
    assert.equal((await registry.call('HEAD', `/v2/a/manifests/${reference}`)).status, 404);
  }
  assert.equal((await registry.call('DELETE', `/v2/a/manifests/${digest}`)).status, 404);
  assert.deepEqual((await registry.call('GET', '/v2/a/tags/list')).json(), { name: 'a', tags: [] });
});
