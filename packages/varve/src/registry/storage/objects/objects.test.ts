import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VarveError } from '../../../base/index.ts';
import { groupSources } from './assemble.ts';
import { WriteBudget } from '../write-budget.ts';
import { chunkKey } from './keys.ts';
import { chainOf } from './object-storage.ts';
import { planParts } from './parts.ts';
import { storeError, withRetry } from './retry.ts';
import type { StoredObject } from './types.ts';

const sized = (...sizes: readonly number[]): StoredObject[] =>
  sizes.map((size, index) => ({ key: `${index}`, size, modifiedAt: 0 }));
const sizes = (groups: readonly (readonly StoredObject[])[]): number[][] =>
  groups.map((group) => group.map(({ size }) => size));

test('plans parts of which only the last is small, in order', () => {
  assert.deepEqual(sizes(planParts(sized(8, 8, 3), 5)), [[8], [8], [3]]);
  assert.deepEqual(sizes(planParts(sized(1, 1, 8, 2, 2, 2, 9), 5)), [[1, 1, 8], [2, 2, 2], [9]]);
  assert.deepEqual(sizes(planParts(sized(1), 5)), [[1]]);
});

test('groups sources by number and by bytes', () => {
  assert.deepEqual(sizes(groupSources(sized(1, 1, 1, 1, 1), 2, 100)), [[1, 1], [1, 1], [1]]);
  assert.deepEqual(sizes(groupSources(sized(6, 6, 3), 10, 10)), [[6], [6, 3]]);
  assert.deepEqual(sizes(groupSources(sized(60, 1), 10, 10)), [[60], [1]]);
});

test('takes of an upload what follows without a gap, and no chunk that a later one overlaps', () => {
  const chunk = (offset: number, size: number): StoredObject => ({
    key: chunkKey('id', offset),
    size,
    modifiedAt: 0,
  });
  const { chain, strays } = chainOf([chunk(0, 8), chunk(8, 3), chunk(9, 8), chunk(11, 4), chunk(16, 8)]);
  assert.deepEqual(
    chain.map(({ size }) => size),
    [8, 3, 4],
  );
  assert.deepEqual(strays, [chunkKey('id', 9), chunkKey('id', 16)]);
});

test('makes chunks smaller the more uploads there are, and keeps all within the budget', () => {
  const budget = new WriteBudget({ largestBytes: 8000, smallestBytes: 500, budgetBytes: 96_000 });
  const writers = [budget.enter()];
  assert.equal(budget.shareBytes, 8000);
  while (writers.length < 64) writers.push(budget.enter());
  assert.equal(budget.shareBytes, 750);
  while (writers.length < 1000) writers.push(budget.enter());
  assert.equal(budget.shareBytes, 500);
  for (const writer of writers) writer[Symbol.dispose]();
  assert.equal(budget.shareBytes, 8000);
});

test('tells what may pass from what will not', () => {
  const kind = (status?: number, cause: unknown = new Error('x')): string =>
    storeError({ store: 's3', action: 'put', status, cause }).kind;
  assert.deepEqual(
    [500, 503, 429, 408, 404, 403, 412, 400, 501].map((status) => kind(status)),
    [
      ...Array<string>(4).fill('unavailable'),
      ...['not-found', 'forbidden', 'conflict', 'internal', 'internal'],
    ],
  );
  const reset = Object.assign(new Error('read'), { code: 'ECONNRESET' });
  assert.equal(kind(undefined, new Error('fetch failed', { cause: reset })), 'unavailable');
  assert.equal(kind(undefined, new Error('socket hang up')), 'unavailable');
  assert.equal(kind(undefined, new TypeError('not a function')), 'internal');
});

test('tries again only what may pass, and not for ever', async () => {
  const policy = { attempts: 3, firstPauseMs: 1, longestPauseMs: 2 };
  const failing = (kind: 'unavailable' | 'forbidden') => {
    let calls = 0;
    const done = withRetry(async () => {
      calls++;
      throw new VarveError(kind, 'X', 'x');
    }, policy);
    return done.catch(() => calls);
  };
  assert.equal(await failing('unavailable'), 3);
  assert.equal(await failing('forbidden'), 1);
});
