import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { PendingWrites } from './pending-writes.ts';

/** Writes that end when they are told to. */
function heldWrites(share: number) {
  const batches: number[][] = [];
  const released: number[] = [];
  const ends: (() => void)[] = [];
  const pending = new PendingWrites({
    write: async (batch) => {
      batches.push(batch.map(({ length }) => length));
      await new Promise<void>((resolve) => ends.push(resolve));
    },
    share: () => share,
    release: ({ length }) => released.push(length),
  });
  return { pending, batches, released, endWrite: () => ends.shift()?.() };
}

/** Whether a promise is settled after some turns of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  for (let count = 0; count < 5; count++) await turn();
  return settled;
}

test('gathers a share before it writes, and gives each chunk back once it is written', async () => {
  const { pending, batches, released, endWrite } = heldWrites(100);
  for (const length of [40, 40, 40]) await pending.add(Buffer.alloc(length));
  assert.deepEqual(batches, [[40, 40, 40]]);
  assert.deepEqual(released, []);
  endWrite();
  await pending.flush();
  assert.deepEqual(released, [40, 40, 40]);
});

test('lets the sender wait while a share is gathered and a write is under way', async () => {
  const { pending, batches, endWrite } = heldWrites(100);
  await pending.add(Buffer.alloc(100));
  await pending.add(Buffer.alloc(60));
  const third = pending.add(Buffer.alloc(60));
  assert.equal(await isSettled(third), false);
  assert.deepEqual(batches, [[100]]);
  endWrite();
  await third;
  assert.deepEqual(batches, [[100], [60, 60]]);
  endWrite();
  await pending.flush();
});

test('does not hold back what trickles in', async () => {
  const { pending, batches, endWrite } = heldWrites(1_000_000);
  await pending.add(Buffer.alloc(10));
  for (const deadline = Date.now() + 10_000; batches.length === 0 && Date.now() < deadline; ) await turn();
  assert.deepEqual(batches, [[10]]);
  endWrite();
  await pending.flush();
});

test('gathers, trickles and waits in any order, and loses nothing', { timeout: 60_000 }, async () => {
  let written = 0;
  const pending = new PendingWrites({
    write: async (batch) => {
      for (const { length } of batch) written += length;
      await pause(Math.random() * 30);
    },
    share: () => 1 + Math.random() * 1000,
  });
  let sent = 0;
  for (let count = 0; count < 300; count++) {
    const length = Math.ceil(Math.random() * 400);
    await pending.add(Buffer.alloc(length));
    sent += length;
    // Around the time after which what trickles in is written.
    if (count % 10 === 0) await pause(15 + Math.random() * 10);
  }
  await pending.flush();
  assert.equal(written, sent);
});

test('tells the sender and the end what a write failed with', async () => {
  const pending = new PendingWrites({ write: () => Promise.reject(new Error('full')), share: () => 10 });
  await pending.add(Buffer.alloc(10));
  await assert.rejects(
    async () => {
      await pending.add(Buffer.alloc(10));
      await pending.add(Buffer.alloc(10));
    },
    { message: 'full' },
  );
  await assert.rejects(pending.flush(), { message: 'full' });
});

test('does not hold back what came during a write that took long', async () => {
  const { pending, batches, endWrite } = heldWrites(1_000_000);
  const until = async (count: number): Promise<void> => {
    for (const deadline = Date.now() + 10_000; batches.length < count && Date.now() < deadline; )
      await turn();
  };
  await pending.add(Buffer.alloc(10));
  await until(1);
  await pending.add(Buffer.alloc(20));
  // Longer than chunks are gathered for.
  for (const end = Date.now() + 100; Date.now() < end; ) await turn();
  endWrite();
  await until(2);
  assert.deepEqual(batches, [[10], [20]]);
  endWrite();
  await pending.flush();
});
