import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../oci/index.ts';
import { imageManifest, startTestRegistry } from './testing/index.ts';

const content = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
const digest = digestOf(content);
const path = `/v2/a/b/blobs/${digest}`;
const etag = `"${digest}"`;

test('sends a blob with the headers that clients check', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('a/b', content);
  const [head, get] = [await registry.call('HEAD', path), await registry.call('GET', path)];
  for (const answer of [head, get]) {
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-length'], '100000');
    assert.equal(answer.headers['content-type'], 'application/octet-stream');
    assert.equal(answer.headers['docker-content-digest'], digest);
    assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
    assert.equal(answer.headers.etag, etag);
    assert.equal(answer.headers['accept-ranges'], 'bytes');
  }
  assert.equal(head.body.length, 0);
  assert.deepEqual(get.body, content);
});

const ranges: readonly (readonly [string, number, number])[] = [
  ['bytes=500-1499', 500, 1500],
  ['bytes=500-', 500, 100_000],
  ['bytes=-500', 99_500, 100_000],
  ['bytes=99000-200000', 99_000, 100_000],
  ['bytes=0-0', 0, 1],
];

for (const [range, start, end] of ranges) {
  test(`sends ${range} of a blob`, async (t) => {
    const registry = await startTestRegistry(t);
    await registry.pushBlob('a/b', content);
    const answer = await registry.call('GET', path, { headers: { Range: range } });
    assert.equal(answer.status, 206);
    assert.equal(answer.headers['content-range'], `bytes ${start}-${end - 1}/100000`);
    assert.equal(answer.headers['content-length'], String(end - start));
    assert.deepEqual(answer.body, content.subarray(start, end));
  });
}

test('refuses ranges that no byte is in', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('a/b', content);
  for (const range of ['bytes=500-0', 'bytes=100000-', 'bytes=500000-600000', 'bytes=x']) {
    const answer = await registry.call('GET', path, { headers: { Range: range } });
    assert.equal(answer.status, 416, range);
    assert.equal(answer.headers['content-range'], 'bytes */100000');
  }
});

test('honours If-Range and If-None-Match', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('a/b', content);
  const get = (headers: Record<string, string>) => registry.call('GET', path, { headers });
  assert.equal((await get({ Range: 'bytes=0-9', 'If-Range': etag })).status, 206);
  assert.equal((await get({ Range: 'bytes=0-9', 'If-Range': '"other"' })).status, 200);
  const unchanged = await get({ 'If-None-Match': etag });
  assert.equal(unchanged.status, 304);
  assert.equal(unchanged.body.length, 0);
  assert.equal((await get({ 'If-None-Match': '"other"' })).status, 200);
});

test('knows a blob only in the repository it was pushed to', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('a/b', content);
  for (const method of ['GET', 'HEAD', 'DELETE']) {
    const answer = await registry.call(method, `/v2/a/c/blobs/${digest}`);
    assert.equal(answer.status, 404);
    if (method !== 'HEAD') assert.deepEqual(answer.codes(), ['BLOB_UNKNOWN']);
  }
});

test('refuses what is no digest', async (t) => {
  const registry = await startTestRegistry(t);
  const texts = [
    'sha256:zz',
    'sha256:..%2f..%2fregistry.db',
    'md5:d41d8cd98f00b204e9800998ecf8427e',
    'latest',
  ];
  for (const text of [
    ...texts,
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'0'.repeat(63)}`,
    `sha256:${'0'.repeat(64)}%00`,
  ]) {
    const answer = await registry.call('GET', `/v2/a/blobs/${text}`);
    assert.deepEqual([answer.status, answer.codes()], [400, ['DIGEST_INVALID']], text);
  }
});

test('deletes a blob from one repository and leaves it to others', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('a/b', content);
  await registry.pushBlob('other', content);
  assert.equal((await registry.call('DELETE', path)).status, 202);
  assert.equal((await registry.call('GET', path)).status, 404);
  assert.equal((await registry.call('DELETE', path)).status, 404);
  assert.deepEqual((await registry.call('GET', `/v2/other/blobs/${digest}`)).body, content);
});

test('does not delete a blob that a manifest of the repository needs', async (t) => {
  const registry = await startTestRegistry(t);
  const image = await registry.pushImage('a', 'v1', 'layer');
  const refused = await registry.call('DELETE', `/v2/a/blobs/${image.layer.digest}`);
  assert.deepEqual([refused.status, refused.codes()], [405, ['DENIED']]);
  assert.equal((await registry.call('DELETE', `/v2/a/manifests/${image.digest}`)).status, 202);
  assert.equal((await registry.call('DELETE', `/v2/a/blobs/${image.layer.digest}`)).status, 202);
  const config = await registry.pushBlob('a', Buffer.from('{}'));
  const answer = await registry.putManifest('a', 'v2', imageManifest(config, [image.layer]));
  assert.deepEqual([answer.status, answer.codes()], [400, ['MANIFEST_BLOB_UNKNOWN']]);
});

test('deletes nothing when deleting is off', async (t) => {
  const registry = await startTestRegistry(t, { storage: { delete: { enabled: false } } });
  const image = await registry.pushImage('a', 'v1', 'layer');
  for (const target of [`blobs/${image.layer.digest}`, `manifests/${image.digest}`, 'manifests/v1']) {
    const answer = await registry.call('DELETE', `/v2/a/${target}`);
    assert.deepEqual([answer.status, answer.codes()], [405, ['UNSUPPORTED']], target);
  }
  assert.equal((await registry.call('HEAD', '/v2/a/manifests/v1')).status, 200);
});

test('writes nothing when it is read-only', async (t) => {
  const registry = await startTestRegistry(t, { storage: { maintenance: { readonly: { enabled: true } } } });
  for (const [method, target] of [
    ['POST', 'blobs/uploads/'],
    ['PUT', 'manifests/v1'],
    ['DELETE', 'manifests/v1'],
  ] as const) {
    const answer = await registry.call(method, `/v2/a/${target}`);
    assert.deepEqual([answer.status, answer.codes()], [405, ['UNSUPPORTED']]);
  }
});
