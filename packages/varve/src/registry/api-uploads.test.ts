import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../oci/index.ts';
import { openAccess } from './auth/index.ts';
import { eventually, startTestRegistry, temporaryRoot } from './testing/index.ts';

const content = Buffer.from('0123456789'.repeat(100));
const octets = { 'Content-Type': 'application/octet-stream' };

for (const algorithm of ['sha256', 'sha512'] as const) {
  const digest = digestOf(content, algorithm);

  test(`takes a whole ${algorithm} blob in one POST`, async (t) => {
    const registry = await startTestRegistry(t);
    const answer = await registry.call('POST', `/v2/a/b/blobs/uploads/?digest=${digest}`, { body: content });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.location, `/v2/a/b/blobs/${digest}`);
    assert.equal(answer.headers['docker-content-digest'], digest);
    assert.deepEqual((await registry.call('GET', `/v2/a/b/blobs/${digest}`)).body, content);
  });

  test(`takes a whole ${algorithm} blob in POST and PUT`, async (t) => {
    const registry = await startTestRegistry(t);
    const path = await registry.startUpload('a/b');
    const answer = await registry.call('PUT', `${path}?digest=${encodeURIComponent(digest)}`, {
      body: content,
    });
    assert.equal(answer.status, 201);
    assert.deepEqual((await registry.call('GET', `/v2/a/b/blobs/${digest}`)).body, content);
    assert.equal((await registry.call('GET', path)).status, 404);
  });

  test(`takes a ${algorithm} blob in chunks, the last with PUT`, async (t) => {
    const registry = await startTestRegistry(t);
    const started = await registry.call('POST', `/v2/a/blobs/uploads/?digest-algorithm=${algorithm}`);
    const path = String(started.headers.location);
    assert.equal(started.headers.range, '0-0');
    assert.ok(started.headers['docker-upload-uuid']);
    const first = await registry.call('PATCH', path, {
      body: content.subarray(0, 300),
      headers: { ...octets, 'Content-Range': '0-299' },
    });
    assert.equal(first.status, 202);
    assert.equal(first.headers.range, '0-299');
    const second = await registry.call('PATCH', String(first.headers.location), {
      body: content.subarray(300, 600),
      headers: { ...octets, 'Content-Range': 'bytes 300-599/*' },
    });
    assert.equal(second.headers.range, '0-599');
    const status = await registry.call('GET', path);
    assert.equal(status.status, 204);
    assert.equal(status.headers.range, '0-599');
    const last = await registry.call('PUT', `${path}?digest=${digest}`, {
      body: content.subarray(600),
      headers: { ...octets, 'Content-Range': '600-999' },
    });
    assert.equal(last.status, 201);
    assert.deepEqual((await registry.call('GET', `/v2/a/blobs/${digest}`)).body, content);
  });

  test(`takes a ${algorithm} blob as a stream of unknown length`, async (t) => {
    const registry = await startTestRegistry(t);
    const path = await registry.startUpload('a');
    const stream = (async function* () {
      for (let start = 0; start < content.length; start += 128) yield content.subarray(start, start + 128);
    })();
    const patch = await registry.call('PATCH', path, { body: stream });
    assert.equal(patch.status, 202);
    assert.equal(patch.headers.range, '0-999');
    assert.equal((await registry.call('PUT', `${path}?digest=${digest}`)).status, 201);
    assert.deepEqual((await registry.call('GET', `/v2/a/blobs/${digest}`)).body, content);
  });

  test(`takes the empty ${algorithm} blob`, async (t) => {
    const registry = await startTestRegistry(t);
    const empty = digestOf('', algorithm);
    const path = await registry.startUpload('a');
    assert.equal((await registry.call('PUT', `${path}?digest=${empty}`)).status, 201);
    const answer = await registry.call('GET', `/v2/a/blobs/${empty}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-length'], '0');
  });

  test(`refuses a ${algorithm} digest that the bytes do not have, every way`, async (t) => {
    const registry = await startTestRegistry(t);
    const wrong = digestOf('other', algorithm);
    const post = await registry.call('POST', `/v2/a/blobs/uploads/?digest=${wrong}`, { body: content });
    assert.deepEqual([post.status, post.codes()], [400, ['DIGEST_INVALID']]);
    const path = await registry.startUpload('a');
    const put = await registry.call('PUT', `${path}?digest=${wrong}`, { body: content });
    assert.deepEqual([put.status, put.codes()], [400, ['DIGEST_INVALID']]);
    assert.equal((await registry.call('GET', path)).status, 404);
    assert.equal((await registry.call('HEAD', `/v2/a/blobs/${wrong}`)).status, 404);
    assert.equal((await registry.call('HEAD', `/v2/a/blobs/${digest}`)).status, 404);
    assert.deepEqual(readdirSync(join(registry.root, 'uploads')), []);
  });
}

const digest = digestOf(content);

test('refuses a chunk out of order with 416 and says where to go on', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('a');
  await registry.call('PATCH', path, {
    body: content.subarray(0, 300),
    headers: { 'Content-Range': '0-299' },
  });
  for (const [method, start] of [
    ['PATCH', 0],
    ['PATCH', 299],
    ['PATCH', 301],
    ['PUT', 900],
  ] as const) {
    const target = method === 'PUT' ? `${path}?digest=${digest}` : path;
    const answer = await registry.call(method, target, {
      body: content.subarray(start, start + 100),
      headers: { 'Content-Range': `${start}-${start + 99}` },
    });
    assert.deepEqual([answer.status, answer.codes()], [416, ['RANGE_INVALID']]);
    assert.equal(answer.headers.range, '0-299');
    assert.equal(answer.headers.location, path);
  }
  const rest = await registry.call('PATCH', path, {
    body: content.subarray(300),
    headers: { 'Content-Range': '300-999' },
  });
  assert.equal(rest.status, 202);
  assert.equal((await registry.call('PUT', `${path}?digest=${digest}`)).status, 201);
});

test('refuses a range that is malformed or contradicts the length', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('a');
  for (const range of ['x', '5-0', '-5', '0-99999999999999999999', 'bytes=']) {
    const answer = await registry.call('PATCH', path, { body: 'abc', headers: { 'Content-Range': range } });
    assert.equal(answer.status, 416, range);
  }
  const answer = await registry.call('PATCH', path, { body: 'abc', headers: { 'Content-Range': '0-9' } });
  assert.deepEqual([answer.status, answer.codes()], [400, ['SIZE_INVALID']]);
});

test('keeps of a stream no more than its range says', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('a');
  const tooMuch = (async function* () {
    yield content.subarray(0, 600);
  })();
  const answer = await registry.call('PATCH', path, { body: tooMuch, headers: { 'Content-Range': '0-299' } });
  assert.deepEqual([answer.status, answer.codes()], [400, ['SIZE_INVALID']]);
  assert.equal((await registry.call('GET', path)).headers.range, '0-299');
  const rest = content.subarray(300);
  assert.equal((await registry.call('PUT', `${path}?digest=${digest}`, { body: rest })).status, 201);
});

test('gives up an upload', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('a');
  await registry.call('PATCH', path, { body: content });
  assert.equal((await registry.call('DELETE', path)).status, 204);
  for (const method of ['GET', 'PATCH', 'DELETE']) {
    const answer = await registry.call(method, path);
    assert.deepEqual([answer.status, answer.codes()], [404, ['BLOB_UPLOAD_UNKNOWN']]);
  }
  assert.deepEqual(readdirSync(join(registry.root, 'uploads')), []);
});

test('does not know an upload in another repository', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('mine');
  const stolen = path.replace('/mine/', '/other/');
  for (const [method, target] of [
    ['GET', stolen],
    ['PATCH', stolen],
    ['PUT', `${stolen}?digest=${digest}`],
    ['DELETE', stolen],
  ] as const) {
    const answer = await registry.call(method, target, method === 'PATCH' ? { body: 'x' } : {});
    assert.deepEqual([answer.status, answer.codes()], [404, ['BLOB_UPLOAD_UNKNOWN']], method);
  }
  assert.equal((await registry.call('GET', path)).status, 204);
});

test('does not know upload ids that nobody got', async (t) => {
  const registry = await startTestRegistry(t);
  for (const id of ['x', '..', '..%2f..%2fregistry.db', '%00', 'a'.repeat(1000)]) {
    const answer = await registry.call('PATCH', `/v2/a/blobs/uploads/${id}`, { body: 'x' });
    assert.equal(answer.status, 404, id);
  }
});

test('keeps the upload when the closing PUT has no valid digest', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('a');
  await registry.call('PATCH', path, { body: content });
  for (const query of ['', '?digest=', '?digest=md5:00', '?digest=sha256:../../x']) {
    const answer = await registry.call('PUT', `${path}${query}`);
    assert.deepEqual([answer.status, answer.codes()], [400, ['DIGEST_INVALID']], query);
  }
  assert.equal((await registry.call('PUT', `${path}?digest=${digest}`)).status, 201);
});

test('refuses a digest algorithm it does not know', async (t) => {
  const registry = await startTestRegistry(t);
  const answer = await registry.call('POST', '/v2/a/blobs/uploads/?digest-algorithm=md5');
  assert.deepEqual([answer.status, answer.codes()], [400, ['DIGEST_INVALID']]);
});

test('mounts a blob of another repository', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('from', content);
  const answer = await registry.call('POST', `/v2/to/blobs/uploads/?mount=${digest}&from=from`);
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.location, `/v2/to/blobs/${digest}`);
  assert.deepEqual((await registry.call('GET', `/v2/to/blobs/${digest}`)).body, content);
});

test('mounts a blob from wherever it is when no source is named', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('from', content);
  assert.equal((await registry.call('POST', `/v2/to/blobs/uploads/?mount=${digest}`)).status, 201);
});

test('opens an upload when there is nothing to mount', async (t) => {
  const registry = await startTestRegistry(t);
  await registry.pushBlob('elsewhere', content);
  for (const query of [
    `mount=${digest}&from=from`,
    `mount=${digestOf('x')}&from=elsewhere`,
    `mount=${digestOf('x')}`,
  ]) {
    const answer = await registry.call('POST', `/v2/to/blobs/uploads/?${query}`);
    assert.equal(answer.status, 202, query);
    assert.ok(answer.headers.location);
  }
  assert.deepEqual((await registry.call('GET', '/v2/_catalog')).json(), { repositories: ['elsewhere'] });
});

test('does not mount from a repository that the client may not pull', async (t) => {
  const registry = await startTestRegistry(
    t,
    {},
    {
      access: {
        ...openAccess,
        decide: (_, resource, action) =>
          resource.name !== 'secret' || action === 'push'
            ? { allowed: true }
            : { allowed: false, retry: false, reason: { text: 'secret' } },
      },
    },
  );
  await registry.pushBlob('secret', content);
  for (const query of [`mount=${digest}&from=secret`, `mount=${digest}`]) {
    assert.equal((await registry.call('POST', `/v2/to/blobs/uploads/?${query}`)).status, 202);
  }
  assert.equal((await registry.call('HEAD', `/v2/to/blobs/${digest}`)).status, 404);
  assert.equal((await registry.call('HEAD', `/v2/secret/blobs/${digest}`)).status, 403);
});

test('goes on with an upload after a restart, whatever part of it arrived', async (t) => {
  const first = await startTestRegistry(t);
  const path = await first.startUpload('a');
  await first.call('PATCH', path, { body: content.subarray(0, 300) });
  await first.registry.close();
  // As after a crash: bytes that were written and never acknowledged.
  appendFileSync(join(first.root, 'uploads', path.split('/').at(-1) ?? ''), content.subarray(300, 450));
  const second = await startTestRegistry(t, {}, { root: first.root });
  assert.equal((await second.call('GET', path)).headers.range, '0-449');
  const rest = { body: content.subarray(450), headers: { 'Content-Range': '450-999' } };
  assert.equal((await second.call('PATCH', path, rest)).status, 202);
  assert.equal((await second.call('PUT', `${path}?digest=${digest}`)).status, 201);
  assert.deepEqual((await second.call('GET', `/v2/a/blobs/${digest}`)).body, content);
});

test('finds bytes that changed while the server was down', async (t) => {
  const first = await startTestRegistry(t);
  const path = await first.startUpload('a');
  await first.call('PATCH', path, { body: content });
  await first.registry.close();
  appendFileSync(join(first.root, 'uploads', path.split('/').at(-1) ?? ''), 'x');
  const second = await startTestRegistry(t, {}, { root: first.root });
  const answer = await second.call('PUT', `${path}?digest=${digest}`);
  assert.deepEqual([answer.status, answer.codes()], [400, ['DIGEST_INVALID']]);
});

test('drops abandoned uploads at the start and later', async (t) => {
  const first = await startTestRegistry(t);
  const old = await first.startUpload('a');
  await first.registry.close();
  const config = { storage: { maintenance: { uploadpurging: { age: '0s' } } } };
  const second = await startTestRegistry(t, config, { root: first.root });
  await eventually(async () => (await second.call('GET', old)).status === 404, 'the old upload is dropped');
  const fresh = await second.startUpload('a');
  await eventually(async () => (await second.registry.purgeUploads()) === 1, 'the upload is old enough');
  assert.equal((await second.call('GET', fresh)).status, 404);
});

test('drops at the start what the server before it was receiving in one request', async (t) => {
  const root = temporaryRoot(t);
  mkdirSync(join(root, 'uploads'), { recursive: true });
  const left = join(root, 'uploads', 'left-by-a-crash');
  writeFileSync(left, 'half');
  utimesSync(left, 1, 1);
  await startTestRegistry(t, {}, { root });
  await eventually(() => !existsSync(left), 'the file is gone');
});
