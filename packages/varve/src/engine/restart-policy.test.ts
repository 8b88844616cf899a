import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restartDelay, startsWithEngine } from './restart-policy.ts';
import type { RestartPolicyName } from './types.ts';

const end = { exitCode: 1, stopRequested: false, restartCount: 0, ranMs: 10, lastDelayMs: 0 };
const policy = (Name: RestartPolicyName, MaximumRetryCount = 0) => ({ Name, MaximumRetryCount });

test('only the policies that say so restart', () => {
  assert.equal(restartDelay(policy('no'), end), undefined);
  assert.equal(restartDelay(policy('always'), { ...end, exitCode: 0 }), 100);
  assert.equal(restartDelay(policy('unless-stopped'), end), 100);
  assert.equal(restartDelay(policy('on-failure'), { ...end, exitCode: 0 }), undefined);
  assert.equal(restartDelay(policy('on-failure', 3), { ...end, restartCount: 3 }), undefined);
  assert.equal(restartDelay(policy('on-failure', 3), { ...end, restartCount: 2 }), 100);
});

test('a stop by the user is final', () => {
  assert.equal(restartDelay(policy('always'), { ...end, stopRequested: true }), undefined);
});

test('waits double up to a minute, and begin anew after a steady run', () => {
  let wait = 0;
  const waits: number[] = [];
  for (let round = 0; round < 12; round++) {
    wait = restartDelay(policy('always'), { ...end, lastDelayMs: wait }) ?? -1;
    waits.push(wait);
  }
  assert.deepEqual(waits.slice(0, 4), [100, 200, 400, 800]);
  assert.equal(waits.at(-1), 60_000);
  assert.equal(restartDelay(policy('always'), { ...end, lastDelayMs: 60_000, ranMs: 10_000 }), 100);
});

test('with the engine start: always; unless-stopped when it was not; on-failure after one', () => {
  const last = { wasRunning: true, manuallyStopped: false, exitCode: 0 };
  assert.equal(startsWithEngine(policy('always'), { ...last, manuallyStopped: true }), true);
  assert.equal(startsWithEngine(policy('unless-stopped'), last), true);
  assert.equal(startsWithEngine(policy('unless-stopped'), { ...last, manuallyStopped: true }), false);
  assert.equal(startsWithEngine(policy('on-failure'), last), false);
  assert.equal(startsWithEngine(policy('on-failure'), { ...last, exitCode: 255 }), true);
  assert.equal(startsWithEngine(policy('no'), last), false);
});
