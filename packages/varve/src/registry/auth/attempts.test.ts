import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attempts } from './attempts.ts';

function waits(attempts: Attempts, remote: string, user: string): string | undefined {
  try {
    attempts.check(remote, user);
    return undefined;
  } catch (error) {
    return (error as { headers: Record<string, string> }).headers['Retry-After'];
  }
}

test('doubles the wait with each wrong password after the fifth, to a minute', () => {
  let now = 0;
  const attempts = new Attempts(() => now);
  const seen: (string | undefined)[] = [];
  for (let n = 0; n < 14; n++) {
    const wait = waits(attempts, '10.0.0.1', 'alice');
    seen.push(wait);
    now += Number(wait ?? 0) * 1000;
    attempts.failed('10.0.0.1', 'alice');
  }
  const [none] = seen;
  assert.equal(none, undefined);
  assert.deepEqual(seen.slice(4), [undefined, '1', '2', '4', '8', '16', '32', '60', '60', '60']);
});

test('lets the user in from elsewhere, and others in from there', () => {
  const attempts = new Attempts(() => 0);
  for (let n = 0; n < 10; n++) attempts.failed('10.0.0.1', 'alice');
  assert.notEqual(waits(attempts, '10.0.0.1', 'alice'), undefined);
  assert.equal(waits(attempts, '10.0.0.2', 'alice'), undefined);
  assert.equal(waits(attempts, '10.0.0.1', 'bob'), undefined);
});

test('slows an address that tries many users, and an IPv6 network as one address', () => {
  const attempts = new Attempts(() => 0);
  for (let n = 0; n < 50; n++) attempts.failed(`2001:db8::${n.toString(16)}`, `user${n}`);
  assert.notEqual(waits(attempts, '2001:db8:0:0:ffff::1', 'another'), undefined);
  assert.equal(waits(attempts, '2001:db8:0:1::1', 'another'), undefined);
});

test('forgets after a success, and after a quarter of an hour', () => {
  let now = 0;
  const attempts = new Attempts(() => now);
  for (let n = 0; n < 6; n++) attempts.failed('10.0.0.1', 'alice');
  attempts.succeeded('10.0.0.1', 'alice');
  assert.equal(waits(attempts, '10.0.0.1', 'alice'), undefined);
  for (let n = 0; n < 20; n++) attempts.failed('10.0.0.1', 'alice');
  now = 16 * 60_000;
  assert.equal(waits(attempts, '10.0.0.1', 'alice'), undefined);
  attempts.failed('10.0.0.1', 'alice');
  assert.equal(waits(attempts, '10.0.0.1', 'alice'), undefined);
});
