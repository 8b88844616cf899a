import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mountsBelow } from '../../linux/index.ts';
import { type ChainID, digestOf } from '../../oci/index.ts';
import { childEnvironment } from './compile-cache.ts';
import type { CrashJob, CrashOrder } from './crash-child.ts';
import { asObject } from './listing.ts';
import { type DriverUnderTest, Rig } from './rig.ts';
import type { TestEntry } from './tar.ts';

const usualKills = 6;

const many = (prefix: string): TestEntry[] =>
  Array.from({ length: 300 }, (_, i) => ({ name: `${prefix}-${i}`, content: prefix.repeat(i) }));

/** Runs a job in another process and kills that at a moment of the job, or lets it end; gives the milliseconds it took. */
async function run(under: DriverUnderTest, rig: Rig, job: CrashJob, killAfter?: number): Promise<number> {
  const child = fork(new URL('./crash-child.ts', import.meta.url), {
    env: childEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exit = once(child, 'exit');
  const order: CrashOrder = { module: under.module.href, exported: under.exported, root: rig.snapshots, job };
  child.send(order);
  await Promise.race([once(child, 'message'), exit]);
  const start = performance.now();
  if (killAfter !== undefined) {
    await Promise.race([delay(killAfter), exit]);
    child.kill('SIGKILL');
  }
  const [code, signal] = (await exit) as [number | null, string | null];
  assert.ok(code === 0 || signal === 'SIGKILL', `the child ended with ${code} ${signal}`);
  return performance.now() - start;
}

/** Kills at moments spread over the whole job; each time the job is set up anew, and checked after recovery. */
async function killAtMany(
  under: DriverUnderTest,
  rig: Rig,
  setUp: (round: string) => Promise<CrashJob>,
  check: (job: CrashJob) => Promise<void>,
): Promise<void> {
  const kills = under.kills ?? usualKills;
  const duration = await run(under, rig, await setUp('measure'));
  await rig.reopen();
  for (let i = 0; i < kills; i++) {
    const job = await setUp(String(i));
    await run(under, rig, job, (duration * i) / (kills - 1));
    await rig.reopen();
    await rig.driver.recover();
    await check(job);
    await rig.driver.close();
    assert.deepEqual(rig.leftovers(), [], `killed after ${i} of ${kills - 1} parts`);
    assert.deepEqual(mountsBelow(rig.root), []);
    assert.deepEqual(await rig.driver.recover(), []);
  }
}

/** kill -9 at many moments, then recovery: all or nothing, and nothing left over. */
export function testCrashes(under: DriverUnderTest): void {
  test('killed while applying: the layer is whole or not there, and can be applied', async () => {
    await using rig = new Rig(under);
    const parent = await rig.apply(undefined, many('base'));
    await rig.driver.apply(rig.layer(parent, many('whole')));
    await killAtMany(
      under,
      rig,
      async (round) => ({ type: 'apply', layer: rig.layer(parent, many(`round${round}`)) }),
      async (job) => {
        assert.ok(job.type === 'apply');
        const { chainId } = job.layer;
        if (rig.driver.has(chainId)) assert.equal((await rig.list(chainId)).size, 601);
        await rig.driver.apply(job.layer);
        assert.equal((await rig.list(chainId)).size, 601);
      },
    );
  });

  test('killed while committing: the snapshot has its old name or its new one', async () => {
    await using rig = new Rig(under);
    const parent = await rig.apply(undefined, many('base'));
    await killAtMany(
      under,
      rig,
      async (round) => {
        const key = `box-${round}`;
        await rig.active(key, parent, (root) => {
          for (let i = 0; i < 100; i++) writeFileSync(join(root, `mine-${i}`), round);
        });
        return { type: 'commit', key, chain: digestOf(key) };
      },
      async (job) => {
        assert.ok(job.type === 'commit');
        const names = [job.key, job.chain].filter((key) => rig.driver.has(key));
        assert.equal(names.length, 1, names.join());
        if (names[0] === job.key) await rig.driver.commit(job.key, job.chain);
        assert.equal((await rig.list(job.chain)).size, 401);
      },
    );
  });

  test('killed while removing: the snapshot is whole or gone', async () => {
    await using rig = new Rig(under);
    const parent = await rig.apply(undefined, many('base'));
    let whole = {};
    await killAtMany(
      under,
      rig,
      async (round) => {
        const key: ChainID = await rig.apply(parent, many(`round${round}`));
        whole = asObject(await rig.list(key));
        return { type: 'remove', key };
      },
      async (job) => {
        assert.ok(job.type === 'remove');
        if (rig.driver.has(job.key)) assert.deepEqual(asObject(await rig.list(job.key)), whole);
        await rig.driver.remove(job.key);
        assert.ok(!rig.driver.has(job.key));
      },
    );
  });

  test('killed in the life of a container: what it left can be used and removed', async () => {
    await using rig = new Rig(under);
    const parent = await rig.apply(undefined, many('base'));
    await killAtMany(
      under,
      rig,
      async (round) => ({ type: 'live', key: `box-${round}`, parent }),
      async (job) => {
        assert.ok(job.type === 'live');
        if (rig.driver.has(job.key)) assert.equal((await rig.list(job.key)).size, 301);
        await rig.driver.remove(job.key);
      },
    );
  });
}
