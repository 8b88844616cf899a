import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { type Answer, atEnd, eventually } from '../../src/registry/testing/index.ts';
import { basic, bearer, signToken, tokenOf } from './auth-fixtures.ts';

import { alice, governed, pushBlob, root, rules, upload } from './governed-registry.ts';

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
