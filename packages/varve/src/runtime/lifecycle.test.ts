import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { cgroupFolder, readCgroupLayout } from '../linux/index.ts';
import { rotateLog } from './log-rotation.ts';
import { busyboxSpec, collectOutput, makeTestRuntime, type TestRuntime, until } from './testing/busybox.ts';
import type { ContainerRuntime, ContainerSpec } from './types.ts';

let env: TestRuntime;
let runtime: ContainerRuntime;
before(async () => {
  env = await makeTestRuntime({ attachBufferBytes: 64 * 1024, attachStallMs: 300 });
  ({ runtime } = env);
});
after(async () => {
  await env[Symbol.asyncDispose]();
});

async function started(args: readonly string[], changes: Partial<ContainerSpec> = {}): Promise<string> {
  const spec = busyboxSpec(env.rootfs, args, changes);
  await runtime.create(spec);
  await runtime.start(spec.id);
  return spec.id;
}

const counter = ['/bin/sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i; done'];

test('pauses and resumes', async () => {
  const id = await started(['/bin/sleep', '600']);
  await runtime.pause(id);
  assert.equal((await runtime.inspect(id))?.status, 'paused');
  await runtime.resume(id);
  assert.equal((await runtime.inspect(id))?.status, 'running');
  await runtime.pause(id);
  await runtime.delete(id);
});

test('sends signals, and says when there is nothing to signal', async () => {
  const id = await started(['/bin/sh', '-c', 'trap "exit 3" TERM; echo up; while true; do sleep 0.05; done']);
  await until('the trap', () =>
    readFileSync(join(env.folder, 'log', id, 'container.log'), 'utf8').includes('up'),
  );
  const exit = runtime.wait(id);
  await runtime.kill(id, 15);
  assert.equal((await exit).exitCode, 3);
  await assert.rejects(runtime.kill(id, 15), { kind: 'conflict', message: `container ${id} is not running` });
  const other = await started(['/bin/sleep', '600']);
  await runtime.kill(other, 9);
  assert.equal((await runtime.wait(other)).exitCode, 137);
});

test('limits and updates memory, processes and processor', async () => {
  const id = await started(['/bin/sleep', '600'], {
    resources: { memory: 64 << 20, pidsLimit: 50, nanoCpus: 500_000_000 },
  });
  const stats = (await runtime.stats(id)) as {
    memory_stats: { limit: number; usage: number };
    pids_stats: { limit: number; current: number };
  };
  assert.equal(stats.memory_stats.limit, 64 << 20);
  assert.equal(stats.pids_stats.limit, 50);
  await runtime.update(id, { memory: 96 << 20, pidsLimit: 60, cpuShares: 512 });
  const updated = (await runtime.stats(id)) as typeof stats;
  assert.equal(updated.memory_stats.limit, 96 << 20);
  assert.equal(updated.pids_stats.limit, 60);
  const layout = readCgroupLayout();
  if (layout.version === 1) {
    const cpu = cgroupFolder(layout, `${env.options.cgroupParent}/${id}`, 'cpu') ?? '';
    assert.equal(readFileSync(join(cpu, 'cpu.cfs_quota_us'), 'utf8'), '50000\n');
    assert.equal(readFileSync(join(cpu, 'cpu.shares'), 'utf8'), '512\n');
  }
});

test('samples what it uses in Docker’s shape', async () => {
  const id = await started(['/bin/sh', '-c', 'head -c 20000000 /dev/zero | md5sum; sleep 600']);
  interface Sample {
    readonly cpu_stats: { cpu_usage: { total_usage: number }; system_cpu_usage: number; online_cpus: number };
    readonly memory_stats: { usage: number; limit: number; stats: Record<string, number> };
    readonly read: string;
    readonly networks?: unknown;
  }
  const first = (await runtime.stats(id)) as unknown as Sample;
  let second = first;
  while (second.cpu_stats.cpu_usage.total_usage === first.cpu_stats.cpu_usage.total_usage) {
    second = (await runtime.stats(id)) as unknown as Sample;
  }
  assert.ok(second.cpu_stats.cpu_usage.total_usage > first.cpu_stats.cpu_usage.total_usage);
  assert.ok(second.cpu_stats.system_cpu_usage >= first.cpu_stats.system_cpu_usage);
  assert.ok(second.cpu_stats.online_cpus >= 1);
  assert.ok(second.memory_stats.usage > 0);
  assert.ok(second.memory_stats.limit > second.memory_stats.usage);
  assert.match(second.read, /^\d{4}-.*\.\d{9}Z$/);
});

test('says that a container was killed for want of memory', async () => {
  const id = await started(['/bin/tail', '/dev/zero'], {
    resources: { memory: 32 << 20, memorySwap: 32 << 20 },
  });
  const { exitCode, oomKilled } = await runtime.wait(id);
  assert.deepEqual({ exitCode, oomKilled }, { exitCode: 137, oomKilled: true });
});

test('has a terminal that can be resized, the last of many sizes winning', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/sh'], {
    tty: true,
    openStdin: true,
    terminalSize: { rows: 20, columns: 70 },
  });
  await runtime.create(spec);
  const streams = await runtime.attach(spec.id);
  let text = '';
  const reading = (async () => {
    for await (const { data } of streams.output) text += data.toString();
  })();
  await runtime.start(spec.id);
  streams.input?.write('stty size\n');
  await until('the first size', () => text.includes('20 70'));
  await Promise.all([
    runtime.resize(spec.id, 10, 20),
    runtime.resize(spec.id, 30, 40),
    runtime.resize(spec.id, 50, 120),
  ]);
  streams.input?.write('stty size; exit 0\n');
  await runtime.wait(spec.id);
  await reading;
  assert.match(text, /50 120/);
});

test('cuts off a reader that stands still, and the container runs on', async () => {
  const spec = busyboxSpec(env.rootfs, [
    '/bin/sh',
    '-c',
    'head -c 3000000 /dev/zero | tr "\\0" "\\n"; exit 8',
  ]);
  await runtime.create(spec);
  const stuck = await Promise.all(Array.from({ length: 5 }, () => runtime.attach(spec.id)));
  const quick = collectOutput(await runtime.attach(spec.id));
  await runtime.start(spec.id);
  assert.equal((await runtime.wait(spec.id)).exitCode, 8);
  assert.equal((await quick).stdout.length, 3_000_000);
  for (const streams of stuck) await assert.rejects(collectOutput(streams), { code: 'SLOW_READER' });
});

test('gives a reader that is merely slow the whole output', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/sh', '-c', 'head -c 1000000 /dev/zero']);
  await runtime.create(spec);
  const streams = await runtime.attach(spec.id);
  await runtime.start(spec.id);
  let size = 0;
  for await (const { data } of streams.output) {
    size += data.length;
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
  assert.equal(size, 1_000_000);
});

test('keeps stdin open for the next client unless it is for one only', async () => {
  const kept = busyboxSpec(env.rootfs, ['/bin/cat'], { openStdin: true });
  await runtime.create(kept);
  await runtime.start(kept.id);
  (await runtime.attach(kept.id)).close();
  const second = await runtime.attach(kept.id);
  const iterator = second.output[Symbol.asyncIterator]();
  second.input?.write('still there\n');
  assert.equal((await iterator.next()).value?.data.toString(), 'still there\n');
  second.close();

  const once = busyboxSpec(env.rootfs, ['/bin/cat'], { openStdin: true, stdinOnce: true });
  await runtime.create(once);
  await runtime.start(once.id);
  (await runtime.attach(once.id)).close();
  assert.equal((await runtime.wait(once.id)).exitCode, 0);
});

test('refuses to attach to a container that has ended', async () => {
  const id = await started(['/bin/true']);
  await runtime.wait(id);
  await assert.rejects(runtime.attach(id), { kind: 'conflict', code: 'NOT_RUNNING' });
  await assert.rejects(runtime.attach('unknown'), { kind: 'not-found' });
});

test('rotates a log without losing a line', async () => {
  const id = await started([
    '/bin/sh',
    '-c',
    'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo "line $i"; [ $((i % 5000)) = 0 ] && sleep 0.1; done',
  ]);
  const path = join(env.folder, 'log', id, 'container.log');
  const state = { exited: false };
  const exit = runtime.wait(id).then(() => {
    state.exited = true;
  });
  const follower = (async () => {
    const lines: string[] = [];
    for await (const line of runtime.logs(id, { follow: true })) lines.push(line.data.toString());
    return lines;
  })();
  let rotations = 0;
  while (!state.exited) {
    const limits = { maxBytes: 200_000, maxFiles: 1000 };
    if (await rotateLog(join(env.folder, 'run/c', id), path, limits).catch(() => false)) rotations++;
    await new Promise(setImmediate);
  }
  await exit;
  assert.ok(rotations >= 3, `${rotations} rotations`);
  const firstGap = (lines: readonly string[]): number =>
    lines.findIndex((line, index) => line !== `line ${index + 1}\n`);
  const seen: string[] = [];
  for await (const line of runtime.logs(id, {})) seen.push(line.data.toString());
  const followed = await follower;
  assert.deepEqual([seen.length, firstGap(seen)], [60_000, -1]);
  assert.deepEqual([followed.length, firstGap(followed)], [60_000, -1]);
});

test('keeps no more files of a log than allowed', async () => {
  const id = await started(counter);
  const path = join(env.folder, 'log', id, 'container.log');
  for (let rotations = 0; rotations < 4; ) {
    const limits = { maxBytes: 10_000, maxFiles: 3 };
    if (await rotateLog(join(env.folder, 'run/c', id), path, limits)) rotations++;
    await new Promise(setImmediate);
  }
  assert.deepEqual(readdirSync(dirname(path)).sort(), [
    'container.log',
    'container.log.1',
    'container.log.2',
  ]);
  await runtime.delete(id);
});

test('follows a log of a running container to its end', async () => {
  const id = await started(['/bin/sh', '-c', 'for i in 1 2 3 4 5; do echo $i; sleep 0.05; done; printf end']);
  let text = '';
  for await (const line of runtime.logs(id, { follow: true })) text += line.data.toString();
  assert.equal(text, '1\n2\n3\n4\n5\nend');
});

test('lists all processes of a container', async () => {
  const id = await started(['/bin/sh', '-c', 'sleep 600 & sleep 600 & wait']);
  await until('three processes', () => {
    const { length } = cgroupPids(id);
    return length === 3;
  });
  assert.deepEqual(await runtime.processes(id), cgroupPids(id));
});

function cgroupPids(id: string): number[] {
  const folder = cgroupFolder(readCgroupLayout(), `${env.options.cgroupParent}/${id}`, 'pids') ?? '';
  return readFileSync(join(folder, 'cgroup.procs'), 'utf8').trim().split('\n').map(Number);
}

test('refuses an id twice and an id that is a path', async () => {
  const id = await started(['/bin/sleep', '600']);
  const again = { ...busyboxSpec(env.rootfs, ['/bin/true']), id };
  await assert.rejects(runtime.create(again), { kind: 'conflict', code: 'CONTAINER_EXISTS' });
  assert.equal((await runtime.inspect(id))?.status, 'running');
  await assert.rejects(runtime.create({ ...again, id: '../escape' }), {
    kind: 'invalid',
    code: 'INVALID_ID',
  });
});

test('runs twenty containers at once and deletes one that floods its log', async () => {
  const flood = await started(counter);
  const ids = await Promise.all(
    Array.from({ length: 20 }, (_, index) => started(['/bin/sh', '-c', `exit ${index}`])),
  );
  const exits = await Promise.all(ids.map((id) => runtime.wait(id)));
  assert.deepEqual(
    exits.map((exit) => exit.exitCode),
    Array.from({ length: 20 }, (_, index) => index),
  );
  await runtime.delete(flood);
  await Promise.all(ids.map((id) => runtime.delete(id)));
});
