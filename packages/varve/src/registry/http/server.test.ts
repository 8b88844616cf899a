import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, truncateSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { pino } from 'pino';
import { digestOf } from '../../oci/index.ts';
import { anonymous } from '../auth/index.ts';
import { eventually, startTestRegistry } from '../testing/index.ts';

/** Sends raw bytes and returns all that comes back until the server closes. */
function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    socket.on('close', () => resolve(received));
    socket.on('error', reject);
  });
}

const hostilePaths: readonly (readonly [string, string, number, string])[] = [
  ['GET', '/v2/../../etc/passwd/manifests/latest', 400, 'NAME_INVALID'],
  ['GET', '/v2/a/../b/tags/list', 400, 'NAME_INVALID'],
  ['GET', '/v2/a%2f..%2fb/tags/list', 400, 'NAME_INVALID'],
  ['GET', '/v2/Upper/tags/list', 400, 'NAME_INVALID'],
  ['GET', `/v2/${'a'.repeat(300)}/tags/list`, 400, 'NAME_INVALID'],
  ['GET', '/v2/a//b/tags/list', 400, 'NAME_INVALID'],
  ['POST', '/v2/..%2f..%2fx/blobs/uploads/', 400, 'NAME_INVALID'],
  ['POST', `/v2/a/blobs/uploads/?mount=${digestOf('x')}&from=../b`, 400, 'NAME_INVALID'],
  ['POST', '/v2/a/blobs/uploads/?mount=sha256:../../x&from=b', 400, 'DIGEST_INVALID'],
  ['GET', '/v2/a/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd', 400, 'DIGEST_INVALID'],
  ['GET', '/v2/a/manifests/..', 400, 'TAG_INVALID'],
  ['PUT', `/v2/a/manifests/${'x'.repeat(129)}`, 400, 'TAG_INVALID'],
  ['GET', '/', 404, 'NAME_UNKNOWN'],
  ['GET', '/v2/a', 404, 'NAME_UNKNOWN'],
  ['DELETE', '/v2/', 405, 'UNSUPPORTED'],
  ['POST', '/v2/a/manifests/v1', 405, 'UNSUPPORTED'],
  ['PATCH', '/v2/a/tags/list', 405, 'UNSUPPORTED'],
  ['PROPFIND', '/v2/a/tags/list', 405, 'UNSUPPORTED'],
];

test('refuses hostile paths with the codes of the spec', async (t) => {
  const registry = await startTestRegistry(t);
  for (const [method, path, status, code] of hostilePaths) {
    const answer = await registry.call(method, path);
    assert.deepEqual([answer.status, answer.codes()], [status, [code]], `${method} ${path}`);
    if (status === 405) assert.ok(answer.headers.allow);
  }
});

test('asks a waiting client for the body only when it will be read', async (t) => {
  const registry = await startTestRegistry(t);
  const content = randomBytes(1024);
  const send = (path: string): Promise<{ continued: boolean; status: number | undefined }> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(registry.url);
      let continued = false;
      const outgoing = request(
        {
          hostname,
          port,
          path,
          method: 'POST',
          headers: { Expect: '100-continue', 'Content-Length': content.length },
        },
        (incoming) => {
          incoming.resume();
          resolve({ continued, status: incoming.statusCode });
        },
      );
      outgoing.on('continue', () => {
        continued = true;
        outgoing.end(content);
      });
      outgoing.on('error', reject);
      outgoing.flushHeaders();
    });
  const wanted = await send(`/v2/a/blobs/uploads/?digest=${digestOf(content)}`);
  assert.deepEqual(wanted, { continued: true, status: 201 });
  const unwanted = await send('/v2/UPPER/blobs/uploads/?digest=x');
  assert.deepEqual(unwanted, { continued: false, status: 400 });
});

test('lets a client read the refusal of a body that it is still sending', async (t) => {
  const registry = await startTestRegistry(t);
  const answer = await registry.call('PATCH', '/v2/a/blobs/uploads/6c8b7d2a-0000-4000-8000-000000000000', {
    body: randomBytes(4 * 1024 * 1024),
  });
  assert.deepEqual([answer.status, answer.codes()], [404, ['BLOB_UPLOAD_UNKNOWN']]);
  assert.equal(answer.headers.connection, 'close');
});

test('keeps what an interrupted client sent', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('a');
  const content = randomBytes(300_000);
  const { hostname, port } = new URL(registry.url);
  const outgoing = request({
    hostname,
    port,
    path,
    method: 'PATCH',
    headers: { 'Content-Length': 1_000_000 },
  });
  outgoing.on('error', () => undefined);
  outgoing.write(content);
  const arrived = async (): Promise<boolean> =>
    (await registry.call('GET', path)).headers.range === `0-${content.length - 1}`;
  await eventually(arrived, 'the bytes are written');
  outgoing.destroy();
  const rest = randomBytes(1000);
  const whole = Buffer.concat([content, rest]);
  const answer = await registry.call('PUT', `${path}?digest=${digestOf(whole)}`, {
    body: rest,
    headers: { 'Content-Range': `${content.length}-${whole.length - 1}` },
  });
  assert.equal(answer.status, 201);
  assert.deepEqual((await registry.call('GET', `/v2/a/blobs/${digestOf(whole)}`)).body, whole);
});

test('lets a newer request take an upload over from one that hangs', async (t) => {
  const registry = await startTestRegistry(t);
  const path = await registry.startUpload('a');
  const { hostname, port } = new URL(registry.url);
  const hanging = request({ hostname, port, path, method: 'PATCH', headers: { 'Content-Length': 1000 } });
  const cut = new Promise((resolve) => hanging.once('error', resolve));
  hanging.write('abc');
  await eventually(
    async () => (await registry.call('GET', path)).headers.range === '0-2',
    'three bytes are written',
  );
  const answer = await registry.call('PATCH', path, { body: 'def', headers: { 'Content-Range': '3-5' } });
  assert.equal(answer.status, 202);
  await cut;
  assert.equal((await registry.call('PUT', `${path}?digest=${digestOf('abcdef')}`)).status, 201);
});

test('answers what is not HTTP with 400, and an endless head with 431', async (t) => {
  const registry = await startTestRegistry(t);
  assert.match(await raw(registry.url, 'NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /);
  const head = `GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(64 * 1024)}\r\n\r\n`;
  assert.match(await raw(registry.url, head), /^HTTP\/1\.1 431 /);
  assert.equal((await registry.call('GET', '/v2/')).status, 200);
});

test('refuses two lengths of one body, which smuggle requests', async (t) => {
  const registry = await startTestRegistry(t);
  const both =
    'POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
  assert.match(await raw(registry.url, both), /^HTTP\/1\.1 400 /);
});

test('answers 429 beyond its limit of requests and recovers', async (t) => {
  const registry = await startTestRegistry(t, { http: { maxrequests: 1 } });
  const path = await registry.startUpload('a');
  const { hostname, port } = new URL(registry.url);
  const busy = request({ hostname, port, path, method: 'PATCH', headers: { 'Content-Length': 3 } });
  busy.on('error', () => undefined);
  busy.write('ab');
  await eventually(async () => (await registry.call('GET', '/v2/')).status === 429, 'the one place is taken');
  const refused = await registry.call('GET', '/v2/');
  assert.deepEqual([refused.status, refused.codes()], [429, ['TOOMANYREQUESTS']]);
  assert.equal(refused.headers['retry-after'], '1');
  busy.end('c');
  await eventually(async () => (await registry.call('GET', '/v2/')).status === 200, 'the place is free');
});

test('closes a connection on which nothing moves', async (t) => {
  const registry = await startTestRegistry(t, { http: { idletimeout: '50ms' } });
  const path = await registry.startUpload('a');
  await raw(registry.url, `PATCH ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`);
  assert.equal((await registry.call('GET', path)).headers.range, '0-2');
});

test('ends the requests that run before it closes, and takes no more', async (t) => {
  const registry = await startTestRegistry(t, { http: { draintimeout: '5s' } });
  const path = await registry.startUpload('a');
  const { hostname, port } = new URL(registry.url);
  const running = new Promise<number | undefined>((resolve, reject) => {
    const outgoing = request(
      { hostname, port, path, method: 'PATCH', headers: { 'Content-Length': 6 } },
      (incoming) => {
        incoming.resume();
        resolve(incoming.statusCode);
      },
    );
    outgoing.on('error', reject);
    outgoing.write('abc');
    void eventually(async () => (await registry.call('GET', path)).headers.range === '0-2', 'it runs').then(
      () => {
        closed = registry.registry.close();
        return outgoing.end('def');
      },
      reject,
    );
  });
  let closed: Promise<void> | undefined;
  assert.equal(await running, 202);
  await closed;
  await assert.rejects(registry.call('GET', '/v2/'), { code: 'ECONNREFUSED' });
});

test('cuts what runs longer than the drain allows', async (t) => {
  const registry = await startTestRegistry(t, { http: { draintimeout: '50ms' } });
  const path = await registry.startUpload('a');
  const { hostname, port } = new URL(registry.url);
  const hanging = request({ hostname, port, path, method: 'PATCH', headers: { 'Content-Length': 6 } });
  const cut = new Promise((resolve) => hanging.once('error', resolve));
  hanging.write('abc');
  await eventually(async () => (await registry.call('GET', path)).headers.range === '0-2', 'it runs');
  await registry.registry.close();
  await cut;
});

test('refuses a root and an address that another registry has', async (t) => {
  const first = await startTestRegistry(t);
  await assert.rejects(startTestRegistry(t, {}, { root: first.root }), { code: 'ROOT_IN_USE' });
  const addr = new URL(first.url).host;
  await assert.rejects(startTestRegistry(t, { http: { addr } }), { code: 'LISTEN_FAILED' });
});

test('writes one line for each request, and no credentials', async (t) => {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const registry = await startTestRegistry(t, {}, { logger: pino({}, sink) });
  await registry.call('GET', '/v2/none/tags/list', {
    headers: { 'User-Agent': 'test/1', Authorization: 'Basic c2VjcmV0' },
  });
  await eventually(() => lines.some((line) => line.includes('tags/list')), 'the line is written');
  const line = JSON.parse(lines.find((text) => text.includes('tags/list')) ?? '{}') as Record<
    string,
    unknown
  >;
  assert.deepEqual(
    [line['method'], line['url'], line['status'], line['code'], line['agent'], line['remote']],
    ['GET', '/v2/none/tags/list', 404, 'NAME_UNKNOWN', 'test/1', '127.0.0.1'],
  );
  assert.ok(!lines.join('').includes('c2VjcmV0'));
});

test('asks access control once, with what the request would do', async (t) => {
  const asked: string[] = [];
  const registry = await startTestRegistry(
    t,
    {},
    {
      access: {
        identify: ({ headers: { authorization: name } }) =>
          name === undefined ? anonymous : { kind: 'user', name, groups: [], via: 'htpasswd' },
        decide: (identity, resource, action) => {
          asked.push(`${resource.type}:${resource.name}:${action}`);
          if (identity.name === 'ann') return { allowed: true };
          return { allowed: false, retry: identity.kind === 'anonymous', reason: { text: 'a test' } };
        },
        sees: () => true,
        challenge: () => 'Basic realm="x"',
      },
    },
  );
  const nobody = await registry.call('GET', '/v2/');
  assert.deepEqual([nobody.status, nobody.codes()], [401, ['UNAUTHORIZED']]);
  assert.equal(nobody.headers['www-authenticate'], 'Basic realm="x"');
  const bob = await registry.call('POST', '/v2/a/b/blobs/uploads/', { headers: { Authorization: 'bob' } });
  assert.deepEqual([bob.status, bob.codes()], [403, ['DENIED']]);
  const ann = await registry.call('GET', '/v2/_catalog', { headers: { Authorization: 'ann' } });
  assert.equal(ann.status, 200);
  assert.deepEqual(asked, ['registry:base:pull', 'repository:a/b:push', 'registry:catalog:list']);
});

test('takes no writes from web pages unless they are invited', async (t) => {
  const headers = { Origin: 'https://example.com' };
  const closed = await startTestRegistry(t);
  const refused = await closed.call('POST', '/v2/a/blobs/uploads/', { headers });
  assert.deepEqual([refused.status, refused.codes()], [403, ['DENIED']]);
  assert.equal((await closed.call('GET', '/v2/', { headers })).status, 200);
  const open = await startTestRegistry(t, {
    http: { headers: { 'Access-Control-Allow-Origin': ['https://example.com'] } },
  });
  const taken = await open.call('POST', '/v2/a/blobs/uploads/', { headers });
  assert.equal(taken.status, 202);
  assert.equal(taken.headers['access-control-allow-origin'], 'https://example.com');
});

test('cuts the answer short, and says so in the log, when storage lost bytes', async (t) => {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const registry = await startTestRegistry(t, {}, { logger: pino({}, sink) });
  for (const size of [100, 100_000]) {
    const { digest } = await registry.pushBlob('a', randomBytes(size));
    const hex = digest.slice(7);
    const path = join(registry.root, 'blobs', 'sha256', hex.slice(0, 2), hex);
    truncateSync(path, size / 2);
    await assert.rejects(async () => {
      const answer = await registry.call('GET', `/v2/a/blobs/${digest}`);
      assert.equal(answer.status, 200);
    });
    await eventually(
      () => lines.join('').includes(`storage has ${size / 2} bytes of ${size}`),
      'the loss is logged',
    );
    rmSync(path);
    const gone = await registry.call('GET', `/v2/a/blobs/${digest}`);
    assert.deepEqual([gone.status, gone.codes()], [404, ['BLOB_UNKNOWN']]);
  }
});
