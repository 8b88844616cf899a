import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { VarveError } from '../../../base/index.ts';
import { groupSources } from './assemble.ts';
import { WriteBudget } from '../write-budget.ts';
import { chunkKey } from './keys.ts';
import { ChunkPool } from './chunk-pool.ts';
import { digestOf } from '../../../oci/index.ts';
import { chainOf, ObjectStorage } from './object-storage.ts';
import { planParts } from './parts.ts';
import { storeError, withRetry } from './retry.ts';
import type { ObjectStore, StoredObject } from './types.ts';

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
  assert.equal(budget.shareBytes(), 8000);
  assert.equal(budget.shareBytes(90_000), 3000);
  assert.equal(budget.shareBytes(200_000), 500);
  while (writers.length < 64) writers.push(budget.enter());
  assert.equal(budget.shareBytes(), 750);
  while (writers.length < 1000) writers.push(budget.enter());
  assert.equal(budget.shareBytes(), 500);
  for (const writer of writers) writer[Symbol.dispose]();
  assert.equal(budget.shareBytes(), 8000);
});

test('takes 64 uploads at once whatever is in the budget, each in its own time', async () => {
  const stored = new Map<string, Buffer>();
  const store: ObjectStore = {
    name: 'map',
    maxSources: 10_000,
    maxSourceBytes: Number.MAX_SAFE_INTEGER,
    stat: async (key) => {
      const bytes = stored.get(key);
      return bytes && { key, size: bytes.length, modifiedAt: 0 };
    },
    read: async (key) => Readable.from([stored.get(key) ?? Buffer.alloc(0)]),
    put: async (key, bytes) => {
      // What is sent may be used again once it is there, not before.
      await turn();
      stored.set(key, Buffer.from(bytes));
      return {};
    },
    assemble: async (sources, target) => {
      stored.set(target, Buffer.concat(sources.map(({ key }) => stored.get(key) ?? Buffer.alloc(0))));
    },
    remove: async (keys) => {
      for (const key of keys) stored.delete(key);
    },
    async *list(prefix) {
      for (const [key, bytes] of stored) {
        if (key.startsWith(prefix)) yield { key, size: bytes.length, modifiedAt: 0 };
      }
    },
  };
  const storage = new ObjectStorage(store, { chunks: { budgetBytes: 2_000_000, smallestBytes: 1 } });
  const gate = Promise.withResolvers<void>();
  let ended = 0;
  await Promise.all(
    Array.from({ length: 64 }, async (_, number) => {
      const bytes = randomBytes(100_000);
      const session = await storage.create(randomUUID(), 'note');
      await session.append(
        (async function* () {
          for (let start = 0; start < bytes.length; start += 5_000) {
            // Half of them stand still with something in memory until the others have ended.
            if (number % 2 === 0 && start === 50_000) await gate.promise;
            const piece = Buffer.from(bytes.subarray(start, start + 5_000));
            yield piece;
          }
        })(),
        // As where its memory is given back: what was given cannot be read again.
        { release: (chunk) => chunk.fill(0) },
      );
      await session.commit(digestOf(bytes));
      if (number % 2 === 1 && ++ended === 32) gate.resolve();
      const read = await Array.fromAsync(await storage.read(digestOf(bytes)));
      assert.ok(bytes.equals(Buffer.concat(read as Buffer[])));
    }),
  );
});

test('uses the memory of a chunk again, within its size and its limit', () => {
  const pool = new ChunkPool(1000);
  const first = pool.take(400);
  pool.give(first);
  assert.notEqual(pool.take(100), first, 'much too large');
  assert.equal(pool.take(300), first);
  const large = pool.take(2000);
  pool.give(large);
  assert.notEqual(pool.take(2000), large, 'more than is kept');
  pool.give(first);
  pool.clear();
  assert.notEqual(pool.take(400), first);
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
