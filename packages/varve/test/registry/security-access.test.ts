import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { digestOf } from '../../src/oci/index.ts';
import {
  type Answer,
  atEnd,
  eventually,
  startTestRegistry,
  type TestRegistry,
  temporaryRoot,
} from '../../src/registry/testing/index.ts';
import { basic, bearer, detailOf, signToken, tokenOf, writeHtpasswd } from './auth-fixtures.ts';

const users = { alice: 'wonderland', bob: 'builder', root: 'toor' };
const alice = basic('alice', users.alice);
const bob = basic('bob', users.bob);
const root = basic('root', users.root);
const rules = [
  { name: 'public', who: ['anonymous'], repositories: ['public/**'], actions: ['pull' as const] },
  { name: 'team a', who: ['group:a'], repositories: ['a/**'], actions: ['pull' as const, 'push' as const] },
  {
    name: 'frozen',
    who: ['everyone'],
    repositories: ['a/frozen'],
    actions: ['push' as const],
    effect: 'deny' as const,
  },
  { name: 'own', who: ['authenticated'], repositories: ['people/${user}/**'], actions: ['*' as const] },
  { name: 'admins', who: ['user:root'], repositories: ['**'], actions: ['*' as const] },
];
const groups = { a: ['alice', 'bob'] };
const content = Buffer.from('the quick brown fox');
const digest = digestOf(content);

/** A registry with users, rules and its own token server. */
async function governed(
  t: TestContext,
  auth: object = {},
): Promise<TestRegistry & { readonly passwords: string }> {
  const passwords = writeHtpasswd(join(temporaryRoot(t), 'htpasswd'), users);
  const registry = await startTestRegistry(t, {
    auth: { htpasswd: { path: passwords }, tokenserver: {}, rules, groups, ...auth },
  });
  return Object.assign(registry, { passwords });
}

function upload(
  registry: TestRegistry,
  name: string,
  headers: Record<string, string> = {},
  query = '',
): Promise<Answer> {
  return registry.call('POST', `/v2/${name}/blobs/uploads/${query}`, { headers });
}

async function pushBlob(
  registry: TestRegistry,
  name: string,
  headers: Record<string, string>,
): Promise<number> {
  const path = `/v2/${name}/blobs/uploads/?digest=${digest}`;
  return (await registry.call('POST', path, { headers, body: content })).status;
}

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

test('gives tokens narrowed to what their holder may do, signed with a key that is its own', async (t) => {
  const registry = await governed(t);
  const challenge = String((await registry.call('GET', '/v2/a/x/tags/list')).headers['www-authenticate']);
  const { host } = new URL(registry.url);
  assert.equal(
    challenge,
    `Bearer realm="http://${host}/token",service="varve-registry",scope="repository:a/x:pull"`,
  );
  const asked = ['repository:a/x:pull,push,delete', 'repository:b/x:pull repository:people/alice/x:*'];
  const { token, scope } = await tokenOf(registry.url, asked, alice);
  assert.equal(scope, 'repository:a/x:pull,push repository:people/alice/x:pull,push,delete,*');
  const claims = decodeJwt(token);
  assert.deepEqual([claims.iss, claims.aud, claims.sub], ['varve-registry', 'varve-registry', 'alice']);
  assert.equal((claims.exp ?? 0) - (claims.iat ?? 0), 300);
  const published = (await registry.call('GET', '/.well-known/jwks.json')).json() as JSONWebKeySet & {
    keys: { kid: string; d?: string }[];
  };
  assert.deepEqual(
    published.keys.map(({ kid, d }) => [kid, d]),
    [[decodeProtectedHeader(token).kid, undefined]],
  );
  assert.equal(statSync(join(registry.root, 'token-keys', 'keys.json')).mode & 0o777, 0o600);
  const expected = { issuer: 'varve-registry', audience: 'varve-registry', algorithms: ['ES256'] };
  await jwtVerify(token, createLocalJWKSet(published), expected);
  assert.equal((await upload(registry, 'a/x', bearer(token))).status, 202);
  assert.equal((await upload(registry, 'b/x', bearer(token))).status, 403);

  // Another registry that believes this one's token server, by its published keys.
  const other = await startTestRegistry(t, {
    auth: {
      token: {
        realm: `${registry.url}/token`,
        service: 'varve-registry',
        issuer: 'varve-registry',
        jwks: `${registry.url}/.well-known/jwks.json`,
      },
    },
  });
  assert.equal((await upload(other, 'a/x', bearer(token))).status, 202);
  assert.equal((await upload(other, 'b/x', bearer(token))).status, 401);
});

test('refuses tokens that are not its own, and refresh tokens in their place', async (t) => {
  const registry = await governed(t);
  const other = await governed(t);
  const scope = ['repository:a/x:pull,push'];
  const foreign = await tokenOf(other.url, scope, alice);
  const own = await tokenOf(registry.url, scope, alice, '&offline_token=true');
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const forged = await signToken(stranger, [{ type: 'repository', name: 'a/x', actions: ['*'] }], {
    issuer: 'varve-registry',
    audience: 'varve-registry',
    header: { kid: decodeProtectedHeader(own.token).kid },
  });
  for (const token of [foreign.token, own.refresh_token ?? '', forged]) {
    const answer = await upload(registry, 'a/x', bearer(token));
    assert.equal(answer.status, 401);
    assert.match(String(answer.headers['www-authenticate']), /error="invalid_token"$/);
  }
  for (const path of ['/token?service=varve-registry', '/token?service=other.example']) {
    const answer = await registry.call('GET', path, { headers: bearer(own.token) });
    assert.ok(answer.status === 401 || answer.status === 400, `${path}: ${answer.status}`);
  }
});

test('takes passwords and refresh tokens by form, and no refresh token after the password changed', async (t) => {
  const registry = await governed(t);
  const post = (form: Record<string, string>): Promise<Answer> =>
    registry.call('POST', '/token', {
      body: new URLSearchParams({ service: 'varve-registry', client_id: 'test', ...form }).toString(),
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    });
  const login = await post({
    grant_type: 'password',
    username: 'alice',
    password: users.alice,
    access_type: 'offline',
    scope: 'repository:a/x:push',
  });
  assert.equal(login.status, 200);
  const { refresh_token: refresh = '' } = login.json() as { refresh_token?: string };
  const refreshed = await post({
    grant_type: 'refresh_token',
    refresh_token: refresh,
    scope: 'repository:a/x:push',
  });
  const { access_token: token, scope } = refreshed.json() as { access_token: string; scope: string };
  assert.equal(scope, 'repository:a/x:push');
  assert.equal((await upload(registry, 'a/x', bearer(token))).status, 202);
  assert.equal((await post({ grant_type: 'password', username: 'alice', password: 'x' })).status, 401);
  assert.equal((await post({ grant_type: 'refresh_token', refresh_token: token })).status, 401);
  assert.equal((await post({ grant_type: 'client_credentials' })).status, 400);

  writeHtpasswd(registry.passwords, { ...users, alice: 'changed' });
  const again = (): Promise<Answer> => post({ grant_type: 'refresh_token', refresh_token: refresh });
  await eventually(async () => (await again()).status === 401, 'the refresh token ends with the password');
  writeHtpasswd(registry.passwords, { bob: users.bob });
  await eventually(
    async () => (await upload(registry, 'a/x', bearer(token))).status === 401,
    'a token ends with its user',
  );
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

test('makes robots for administrators alone, shows the secret once, and ends them at once', async (t) => {
  const registry = await governed(t);
  const robot = { name: 'ci', grants: [{ repositories: ['ci/**'], actions: ['pull', 'push'] }] };
  const create = (headers: Record<string, string>, body: object): Promise<Answer> =>
    registry.call('POST', '/varve/robots', { headers, body: JSON.stringify(body) });
  assert.equal((await create({}, robot)).status, 401);
  assert.equal((await create(alice, robot)).status, 403);
  assert.equal((await create(root, { ...robot, name: '../x' })).status, 400);
  assert.equal(
    (await create(root, { ...robot, grants: [{ repositories: ['x'], actions: ['fly'] }] })).status,
    400,
  );
  assert.equal((await create(root, { ...robot, expiresAt: '2020-01-01T00:00:00Z' })).status, 400);
  const created = await create(root, robot);
  assert.equal(created.status, 201);
  const { username, secret } = created.json() as { username: string; secret: string };
  assert.equal((await create(root, robot)).status, 409);
  const listed = await registry.call('GET', '/varve/robots', { headers: root });
  assert.ok(listed.body.includes('"ci"') && !listed.body.includes(secret));
  const ci = basic(username, secret);
  assert.equal(await pushBlob(registry, 'ci/app', ci), 201);
  assert.equal((await upload(registry, 'a/app', ci)).status, 403);
  assert.equal((await upload(registry, 'ci/app', basic(username, 'vrobot_wrong'))).status, 401);
  const { token } = await tokenOf(registry.url, ['repository:ci/app:pull,push'], ci);
  assert.equal((await upload(registry, 'ci/app', bearer(token))).status, 202);
  const removed = await registry.call('DELETE', '/varve/robots/ci', { headers: root });
  assert.equal(removed.status, 204);
  assert.equal((await upload(registry, 'ci/app', bearer(token))).status, 401);
  assert.equal((await upload(registry, 'ci/app', ci)).status, 401);
  const soon = { ...robot, name: 'brief', expiresAt: new Date(Date.now() + 500).toISOString() };
  const brief = (await create(root, soon)).json() as { username: string; secret: string };
  await eventually(
    async () => (await upload(registry, 'ci/app', basic(brief.username, brief.secret))).status === 401,
    'a robot expires',
  );
});

/** An OpenID provider: a discovery document and keys, on loopback. */
async function provider(
  t: TestContext,
  jwksHost?: string,
): Promise<{
  readonly issuer: string;
  readonly sign: (claims: Record<string, unknown>, audience?: string) => Promise<string>;
}> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const server = createServer((request, response) => {
    const keys = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }] };
    const discovery = { issuer, jwks_uri: `${jwksHost ?? issuer}/keys` };
    response.end(JSON.stringify(request.url === '/keys' ? keys : discovery));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => void server.close());
  const issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const sign = (claims: Record<string, unknown>, audience = 'varve'): Promise<string> =>
    signToken(privateKey, [], { issuer, audience, subject: 'repo:acme/app', claims, header: { kid: 'one' } });
  return { issuer, sign };
}

test('knows people and workloads by the tokens of an OpenID provider, by its conditions', async (t) => {
  const { issuer, sign } = await provider(t);
  const elsewhere = await provider(t);
  const registry = await governed(t, {
    oidc: [
      {
        issuer,
        audience: 'varve',
        people: { username: 'email', groups: 'groups', when: { hd: 'acme.example' } },
        workloads: [
          {
            when: { repository: 'acme/*', ref: ['refs/heads/main', 'refs/tags/*'] },
            robot: 'deployer',
            name: '{repository}',
          },
          { when: { repository: 'acme/*' }, groups: ['a'], name: '{repository}' },
        ],
      },
    ],
    rules: [
      ...rules,
      { who: ['group:oidc:dev'], repositories: ['dev/**'], actions: ['*'] },
      { who: ['user:oidc:eve@acme.example'], repositories: ['eve/**'], actions: ['push'] },
    ],
  });
  await registry.call('POST', '/varve/robots', {
    headers: root,
    body: JSON.stringify({
      name: 'deployer',
      grants: [{ repositories: ['live/**'], actions: ['push', 'pull'] }],
    }),
  });
  const status = async (token: string, name: string): Promise<number> =>
    (await upload(registry, name, basic('anything', token))).status;
  const eve = { email: 'eve@acme.example', email_verified: true, hd: 'acme.example', groups: ['dev'] };
  const person = await sign(eve);
  assert.equal(await status(person, 'dev/x'), 202);
  assert.equal(await status(person, 'eve/x'), 202);
  assert.equal(await status(person, 'a/x'), 403);
  assert.equal((await upload(registry, 'dev/x', bearer(person))).status, 202, 'as a bearer token, too');
  const { token } = await tokenOf(registry.url, ['repository:dev/x:push'], basic('eve', person));
  assert.equal((await upload(registry, 'dev/x', bearer(token))).status, 202);
  assert.equal(await status(await sign({ ...eve, email_verified: false }), 'dev/x'), 401);
  assert.equal(await status(await sign({ ...eve, hd: 'evil.example' }), 'dev/x'), 401);
  assert.equal(await status(await sign(eve, 'other-client'), 'dev/x'), 401);
  assert.equal(await status(await elsewhere.sign(eve), 'dev/x'), 401);
  const job = { repository: 'acme/app', ref: 'refs/heads/main' };
  assert.equal(await status(await sign(job), 'live/x'), 202);
  assert.equal(await status(await sign({ ...job, ref: 'refs/heads/evil' }), 'live/x'), 403);
  assert.equal(await status(await sign({ ...job, ref: 'refs/heads/evil' }), 'a/x'), 202);
  assert.equal(await status(await sign({ ...job, repository: 'evil/app' }), 'live/x'), 401);
  assert.equal(await status(await sign({ ...job, repository: 'acme/app/../../x' }), 'live/x'), 401);
});

test('fetches keys from no host but the issuer’s', async (t) => {
  let asked = 0;
  const other = createServer((_, response) => {
    asked++;
    response.end('{"keys": []}');
  });
  await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => void other.close());
  const { issuer, sign } = await provider(
    t,
    `http://127.0.0.1:${(other.address() as { port: number }).port}`,
  );
  const registry = await governed(t, { oidc: [{ issuer, audience: 'varve', people: {} }] });
  const answer = await upload(registry, 'a/x', bearer(await sign({})));
  assert.deepEqual([answer.status, answer.codes()], [503, ['UNAVAILABLE']]);
  assert.equal(asked, 0);
});
