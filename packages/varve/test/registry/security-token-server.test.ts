import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { type Answer, eventually, startTestRegistry } from '../../src/registry/testing/index.ts';
import { bearer, signToken, tokenOf, writeHtpasswd } from './auth-fixtures.ts';

import { alice, governed, upload, users } from './governed-registry.ts';

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
