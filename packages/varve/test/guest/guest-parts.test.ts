import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import { moduleOrder, whyNoGuest } from './guest-parts.ts';

const skip = whyNoGuest() ?? false;

test('a module comes after those that it needs, each once', { skip }, () => {
  const order = moduleOrder(['dm-thin-pool', 'loop', 'dm-snapshot']).map((path) => basename(path, '.ko'));
  assert.equal(new Set(order).size, order.length);
  for (const [before, after] of [
    ['dm-mod', 'dm-bufio'],
    ['dm-bufio', 'dm-persistent-data'],
    ['dm-persistent-data', 'dm-thin-pool'],
    ['dm-bufio', 'dm-snapshot'],
  ] as const) {
    assert.ok(order.includes(before) && order.indexOf(before) < order.indexOf(after), `${before}, ${after}`);
  }
});

test('a module that the kernel does not have is named', { skip }, () => {
  assert.throws(() => moduleOrder(['dm-thick-pool']), /no module dm-thick-pool/);
});
