import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { pino } from 'pino';
import { startTestRegistry, temporaryRoot } from '../../src/registry/testing/index.ts';
import { basic, bearer, tokenOf, writeHtpasswd } from './auth-fixtures.ts';

type Line = Readonly<Record<string, unknown>>;

test('logs every decision with its reason, and no secret', async (t) => {
  const text: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text.push(chunk.toString());
      done();
    },
  });
  const path = writeHtpasswd(join(temporaryRoot(t), 'htpasswd'), { alice: 'wonderland' });
  const registry = await startTestRegistry(
    t,
    {
      auth: {
        htpasswd: { path },
        tokenserver: {},
        rules: [{ name: 'team', who: ['user:alice'], repositories: ['a/**'], actions: ['pull'] }],
      },
    },
    { logger: pino({}, sink) },
  );
  const alice = basic('alice', 'wonderland');
  const { token } = await tokenOf(registry.url, ['repository:a/x:pull,push'], alice);
  await registry.call('GET', '/v2/a/x/tags/list', { headers: bearer(token) });
  await registry.call('POST', '/v2/a/x/blobs/uploads/', { headers: alice });
  await registry.call('GET', '/v2/a/x/tags/list', { headers: basic('mallory', 'open sesame') });
  await registry.call('GET', '/token', { headers: basic('mallory', 'open sesame') });
  await registry.call('GET', '/v2/a/x/tags/list');
  const lines = text.map((line) => JSON.parse(line) as Line);
  const decisions = lines
    .filter(({ msg }) => msg === 'access decided')
    .map(({ subject, claimed, via, resource, action, allowed, rule, reason, remote }) => {
      assert.equal(remote, '127.0.0.1');
      return [subject, claimed, via, resource, action, allowed, rule, reason];
    });
  const wrong = 'wrong user name or password';
  assert.deepEqual(decisions, [
    [
      'user:alice',
      undefined,
      'htpasswd',
      'repository:a/x',
      'pull',
      true,
      'auth.rules[0] (team)',
      'a rule allows it',
    ],
    ['user:alice', undefined, 'htpasswd', 'repository:a/x', 'push', false, undefined, 'no rule allows it'],
    ['anonymous', 'mallory', 'none', 'repository:a/x', 'pull', false, undefined, wrong],
    ['anonymous', 'mallory', 'none', 'registry:base', 'pull', false, undefined, wrong],
    ['anonymous', undefined, 'none', 'repository:a/x', 'pull', false, undefined, 'authentication required'],
  ]);
  const [given] = lines.filter(({ msg }) => msg === 'token given');
  assert.deepEqual(
    [given?.['subject'], given?.['asked'], given?.['given']],
    ['user:alice', ['repository:a/x:pull,push'], ['repository:a/x:pull']],
  );
  const all = text.join('');
  for (const secret of ['wonderland', 'sesame', token, alice.Authorization.slice(6), '$2b$']) {
    assert.ok(!all.includes(secret), secret);
  }
});
