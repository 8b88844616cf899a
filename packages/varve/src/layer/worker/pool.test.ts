import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TemporaryFolder } from '../testing/tree.ts';
import { WorkerPool } from './pool.ts';

/** Threads of this process that run a pool's jobs. */
function threads(): number {
  return readdirSync('/proc/self/task').filter((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('varve-layer');
    } catch {
      return false;
    }
  }).length;
}

test('threads without work end, and the next job starts another', async () => {
  using temporary = new TemporaryFolder();
  const pool = new WorkerPool(2, 20);
  const source = { kind: 'trees', upper: temporary.path } as const;
  for (const round of [1, 2]) {
    assert.deepEqual(await pool.run('changes', { source }), [], `round ${round}`);
    for (const deadline = Date.now() + 60_000; threads() > 0; await sleep(10)) {
      assert.ok(Date.now() < deadline, 'the thread goes on');
    }
  }
});
