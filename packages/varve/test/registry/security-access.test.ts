import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/index.ts';
import { type Answer, startTestRegistry, temporaryRoot } from '../../src/registry/testing/index.ts';
import { basic, bearer, detailOf, tokenOf, writeHtpasswd } from './auth-fixtures.ts';

import { alice, bob, content, digest, governed, pushBlob, root, upload, users } from './governed-registry.ts';

test('challenges with Basic when there are only passwords', async (t) => {
  const passwords = writeHtpasswd(join(temporaryRoot(t), 'htpasswd'), users);
  const registry = await startTestRegistry(t, {
    auth: { htpasswd: { realm: 'basic-realm', path: passwords } },
  });
  const anonymous = await upload(registry, 'a/app');
  assert.deepEqual([anonymous.status, anonymous.codes()], [401, ['UNAUTHORIZED']]);
  assert.equal(anonymous.headers['www-authenticate'], 'Basic realm="basic-realm", charset="UTF-8"');
  assert.equal((await registry.call('GET', '/v2/')).status, 401);
  assert.equal((await registry.call('GET', '/v2/', { headers: alice })).status, 200);
  assert.equal(await pushBlob(registry, 'any/thing', alice), 201);
  for (const headers of [
    basic('alice', 'wrong'),
    basic('nobody', 'wonderland'),
    basic('alice', ''),
    { Authorization: 'Basic !!!' },
    { Authorization: 'Digest x' },
    bearer('AAAA'),
  ]) {
    assert.equal((await registry.call('GET', '/v2/', { headers })).status, 401);
  }
});

test('refuses anonymous pushes and shows nothing after', async (t) => {
  const registry = await governed(t);
  for (const name of ['a/app', 'public/app', 'none']) {
    const answer = await upload(registry, name, {}, `?digest=${digest}`);
    assert.deepEqual([answer.status, answer.codes()], [401, ['UNAUTHORIZED']], name);
    assert.equal(detailOf(answer)['rule'], undefined, 'rules are not told to nobody');
    const { token, scope } = await tokenOf(registry.url, [`repository:${name}:pull,push`]);
    assert.equal(scope, name === 'public/app' ? 'repository:public/app:pull' : '');
    const again = await upload(registry, name, bearer(token));
    assert.equal(again.status, 401);
    assert.match(String(again.headers['www-authenticate']), /error="insufficient_scope"$/);
  }
  const { token } = await tokenOf(registry.url, ['registry:catalog:*'], root);
  const listed = await registry.call('GET', '/v2/_catalog', { headers: bearer(token) });
  assert.deepEqual(listed.json(), { repositories: [] });
});

test('gives every allow, takes away what one deny names, and tells who is known by which rule', async (t) => {
  const registry = await governed(t);
  const status = async (name: string, headers: Record<string, string>): Promise<number> =>
    (await upload(registry, name, headers)).status;
  assert.equal(await status('a/app', alice), 202);
  assert.equal(await status('people/alice/x', alice), 202);
  assert.equal(await status('people/bob/x', alice), 403);
  assert.equal(await status('a/app', root), 202);
  const frozen = await upload(registry, 'a/frozen', root);
  assert.deepEqual([frozen.status, frozen.codes()], [403, ['DENIED']]);
  assert.deepEqual(detailOf(frozen), {
    type: 'repository',
    name: 'a/frozen',
    action: 'push',
    subject: 'user:root',
    asked: 'repository:a/frozen:pull,push',
    held: ['repository:a/frozen:pull,delete'],
    reason: 'a rule denies it',
    rule: 'auth.rules[2] (frozen)',
  });
  const secret = await registry.call('GET', '/v2/b/secret/tags/list', { headers: alice });
  const absent = await registry.call('GET', '/v2/b/absent/tags/list', { headers: alice });
  assert.equal(await pushBlob(registry, 'b/secret', root), 201);
  const existing = await registry.call('GET', '/v2/b/secret/tags/list', { headers: alice });
  for (const answer of [secret, absent, existing]) {
    assert.equal(answer.status, 403);
    assert.equal(detailOf(answer)['reason'], 'no rule allows it');
  }
  const own = await registry.call('GET', '/varve/access?repository=a/app', { headers: bob });
  const { subject, access } = own.json() as {
    subject: string;
    access: { action: string; allowed: boolean; rule?: string }[];
  };
  assert.equal(subject, 'user:bob');
  assert.deepEqual(
    access.map(({ action, allowed, rule }) => [action, allowed, rule]),
    [
      ['pull', true, 'auth.rules[1] (team a)'],
      ['push', true, 'auth.rules[1] (team a)'],
      ['delete', false, undefined],
    ],
  );
});

test('keeps an upload to who began it', async (t) => {
  const registry = await governed(t);
  const path = String((await upload(registry, 'a/app', alice)).headers.location);
  const calls: readonly (readonly [string, string])[] = [
    ['GET', path],
    ['PATCH', path],
    ['PUT', `${path}?digest=${digest}`],
    ['DELETE', path],
  ];
  for (const headers of [bob, root]) {
    for (const [method, target] of calls) {
      const answer = await registry.call(method, target, { headers, body: content });
      assert.deepEqual([answer.status, answer.codes()], [404, ['BLOB_UPLOAD_UNKNOWN']], method);
    }
  }
  const { token } = await tokenOf(registry.url, ['repository:a/app:pull,push'], alice);
  const appended = await registry.call('PATCH', path, { headers: bearer(token), body: content });
  assert.equal(appended.status, 202, 'hers with a token, too');
  const overlapping = await registry.call('PATCH', path, {
    headers: { ...alice, 'Content-Range': '3-7' },
    body: content.subarray(3, 8),
  });
  assert.deepEqual([overlapping.status, overlapping.headers.range], [416, `0-${content.length - 1}`]);
  const wrong = await registry.call('PUT', `${path}?digest=${digestOf('other')}`, { headers: alice });
  assert.deepEqual([wrong.status, wrong.codes()], [400, ['DIGEST_INVALID']]);
  assert.equal((await registry.call('HEAD', `/v2/a/app/blobs/${digest}`, { headers: alice })).status, 404);
});

test('mounts only what the client may pull', async (t) => {
  const registry = await governed(t);
  assert.equal(await pushBlob(registry, 'b/secret', root), 201);
  for (const query of [`?mount=${digest}&from=b/secret`, `?mount=${digest}`]) {
    const answer = await upload(registry, 'a/app', alice, query);
    assert.equal(answer.status, 202, 'as if it were not there');
  }
  assert.equal((await registry.call('HEAD', `/v2/a/app/blobs/${digest}`, { headers: alice })).status, 404);
  const { token } = await tokenOf(
    registry.url,
    ['repository:a/app:pull,push', 'repository:b/secret:pull'],
    alice,
  );
  assert.equal(
    (await upload(registry, 'a/app', bearer(token), `?mount=${digest}&from=b/secret`)).status,
    202,
  );
  assert.equal((await upload(registry, 'a/app', root, `?mount=${digest}&from=b/secret`)).status, 201);
});

test('lists what the client may pull, whatever it asks for', async (t) => {
  const registry = await governed(t);
  for (const name of ['a/one', 'b/two', 'public/three', 'z/four']) {
    assert.equal(await pushBlob(registry, name, root), 201);
  }
  const list = async (headers: Record<string, string>, query = ''): Promise<Answer> =>
    await registry.call('GET', `/v2/_catalog${query}`, { headers });
  const huge = `?n=${'9'.repeat(15)}`;
  assert.deepEqual((await list(alice, huge)).json(), { repositories: ['a/one', 'public/three'] });
  const { token } = await tokenOf(registry.url, ['registry:catalog:*']);
  const page = await list(bearer(token), '?n=1');
  assert.deepEqual(page.json(), { repositories: ['public/three'] });
  assert.equal(page.headers.link, undefined, 'no link that tells of more');
  assert.equal((await list(alice, `?n=${'9'.repeat(16)}`)).status, 400);
  assert.deepEqual((await list(root, '?n=2&last=b/two')).json(), {
    repositories: ['public/three', 'z/four'],
  });
  assert.equal(await pushBlob(registry, 'people/alice/x', alice), 201);
  for (const [query, expected] of [
    ['?n=2', ['a/one', 'people/alice/x']],
    ['?n=2&last=a/one', ['people/alice/x', 'public/three']],
    ['?last=people/alice/x', ['public/three']],
    ['?last=a/', ['a/one', 'people/alice/x', 'public/three']],
    ['?last=%F0%9F%9A%80', []],
  ] as const) {
    assert.deepEqual((await list(alice, query)).json(), { repositories: expected }, query);
  }
  for (const path of ['/v2/b/two/tags/list', `/v2/b/two/referrers/${digest}`]) {
    assert.equal((await registry.call('GET', path, { headers: alice })).status, 403);
  }
});

test('slows guessing down, of users that are there and not, and lets who is right go on', async (t) => {
  const registry = await governed(t);
  assert.equal((await registry.call('GET', '/v2/', { headers: alice })).status, 200);
  for (const user of ['alice', 'nobody', 'robot+nobody']) {
    const seen: number[] = [];
    for (let n = 0; n < 8; n++) {
      seen.push((await registry.call('GET', '/v2/', { headers: basic(user, `guess ${n}`) })).status);
    }
    assert.deepEqual(seen, [401, 401, 401, 401, 401, 429, 429, 429], user);
  }
  const right = await registry.call('GET', '/v2/', { headers: bob });
  assert.equal(right.status, 200, 'another user at the same address');
  assert.equal((await registry.call('GET', '/v2/', { headers: alice })).status, 200, 'known a moment ago');
  const form = new URLSearchParams({ grant_type: 'password', username: 'alice', password: 'guess' });
  const token = await registry.call('POST', '/token', { body: form.toString() });
  assert.equal(token.status, 429);
  assert.match(String(token.headers['retry-after']), /^\d+$/);
});

test('tells clients behind a trusted proxy apart, and believes nobody else’s word', async (t) => {
  const passwords = writeHtpasswd(join(temporaryRoot(t), 'htpasswd'), users);
  const guess = async (trustedproxies: string[], clients: readonly string[]): Promise<number[]> => {
    const registry = await startTestRegistry(t, {
      http: { trustedproxies },
      auth: { htpasswd: { path: passwords } },
    });
    const seen: number[] = [];
    for (const client of clients) {
      const headers = { ...basic('alice', 'guess'), 'X-Forwarded-For': `203.0.113.1, ${client}` };
      seen.push((await registry.call('GET', '/v2/', { headers })).status);
    }
    return seen;
  };
  const many = Array.from({ length: 7 }, (_, n) => `198.51.100.${n}`);
  const same = Array.from({ length: 7 }, () => '198.51.100.1');
  assert.deepEqual(new Set(await guess(['127.0.0.0/8'], many)), new Set([401]));
  assert.deepEqual((await guess(['127.0.0.0/8'], same)).slice(5), [429, 429]);
  assert.deepEqual((await guess([], many)).slice(5), [429, 429]);
});

test('checks the password of a hundred requests at once only once', async (t) => {
  const registry = await governed(t);
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => registry.call('GET', '/v2/', { headers: alice })),
  );
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
});
