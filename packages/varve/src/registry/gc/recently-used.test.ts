import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../oci/index.ts';
import { RecentlyUsed } from './recently-used.ts';

const digest = digestOf('x');

test('keeps everything until the server has run as long as the grace', (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const used = new RecentlyUsed();
  assert.equal(used.has(digest, 1000), true);
  t.mock.timers.tick(1000);
  assert.equal(used.has(digest, 1000), false);
});

test('remembers a blob for one grace at least and two at most', (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const used = new RecentlyUsed();
  t.mock.timers.tick(5000);
  used.turn(1000);
  used.add(digest);
  t.mock.timers.tick(999);
  used.turn(1000);
  assert.equal(used.has(digest, 1000), true);
  t.mock.timers.tick(1);
  used.turn(1000);
  assert.equal(used.has(digest, 1000), true);
  t.mock.timers.tick(1000);
  used.turn(1000);
  assert.equal(used.has(digest, 1000), false);
});

test('keeps nothing back when there is no grace', () => {
  const used = new RecentlyUsed();
  used.add(digest);
  assert.equal(used.has(digest, 0), false);
});
