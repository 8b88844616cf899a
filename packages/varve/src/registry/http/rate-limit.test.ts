import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestRegistry } from '../testing/index.ts';
import { RateLimit } from './rate-limit.ts';

test('lets a burst through and then the rate, each client for itself', () => {
  let now = 0;
  const limit = new RateLimit([{ methods: ['GET'], repositories: '**', rate: 2, burst: 3 }], () => now);
  const taken = (client: string, method = 'GET'): boolean => {
    try {
      limit.take(client, method, 'app');
      return true;
    } catch {
      return false;
    }
  };
  assert.deepEqual(
    [1, 2, 3, 4].map(() => taken('a')),
    [true, true, true, false],
  );
  assert.equal(taken('b'), true);
  assert.equal(taken('a', 'PUT'), true);
  now += 500;
  assert.deepEqual([taken('a'), taken('a')], [true, false]);
  now += 60_000;
  assert.deepEqual(
    [1, 2, 3, 4].map(() => taken('a')),
    [true, true, true, false],
  );
});

test('counts only the repositories that a rule is about', () => {
  const limit = new RateLimit([{ methods: [], repositories: 'ci/**', rate: 1, burst: 1 }], () => 0);
  for (const repository of ['', 'app', 'app', 'ci/app']) limit.take('a', 'GET', repository);
  assert.throws(() => limit.take('a', 'GET', 'ci/other'), { code: 'TOOMANYREQUESTS' });
});

test('a client over its limit gets 429 with the seconds to wait', async (t) => {
  const client = await startTestRegistry(t, {
    http: { ratelimit: [{ methods: ['PUT'], rate: 0.1, burst: 1 }] },
  });
  const first = await client.putManifest('app', 'v1', {});
  assert.equal(first.status, 400);
  const second = await client.putManifest('app', 'v1', {});
  assert.equal(second.status, 429);
  assert.deepEqual(second.codes(), ['TOOMANYREQUESTS']);
  assert.ok(Number(second.headers['retry-after']) >= 1);
  assert.equal((await client.call('GET', '/v2/')).status, 200);
});
