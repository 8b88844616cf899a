import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { giveMemoryBackWhenIdle } from './idle-memory.ts';

test('what work needed goes back to the kernel once the process is idle', async () => {
  // Small pieces, as of many requests: neither V8 nor malloc gives their memory back by itself.
  let garbage: unknown[] = [];
  for (let piece = 0; piece < 2_000; piece++)
    garbage.push(Buffer.alloc(40_000, piece), new Array(2000).fill(piece));
  const busy = process.memoryUsage.rss();
  garbage = [];
  assert.equal(garbage.length, 0);
  using _memory = giveMemoryBackWhenIdle(1000);
  for (
    const deadline = Date.now() + 20_000;
    process.memoryUsage.rss() > busy - (60 << 20);
    await sleep(500)
  ) {
    assert.ok(Date.now() < deadline, `${busy >> 20} MiB became ${process.memoryUsage.rss() >> 20}`);
  }
});
