import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextLook } from './log-rotation.ts';

test('looks more often the faster a log grows', () => {
  const limits = { maxBytes: 10_000_000, maxFiles: 5 };
  assert.equal(nextLook(0, 2000, limits), 2000);
  assert.equal(nextLook(1_000_000, 2000, limits), 2000);
  assert.equal(nextLook(20_000_000, 2000, limits), 500);
  assert.equal(nextLook(600_000_000, 2000, limits), 100);
});
