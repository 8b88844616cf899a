import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdleTimer } from './index.ts';

test('acts once, after the time since the last start, and not when stopped', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let acted = 0;
  const timer = new IdleTimer(1000, () => acted++);
  timer.start();
  context.mock.timers.tick(900);
  timer.start();
  context.mock.timers.tick(900);
  assert.equal(acted, 0);
  context.mock.timers.tick(100);
  assert.equal(acted, 1);
  timer.start();
  timer.stop();
  context.mock.timers.tick(5000);
  assert.equal(acted, 1);
});
