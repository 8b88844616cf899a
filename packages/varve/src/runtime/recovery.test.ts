import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomId } from '../base/index.ts';
import { cgroupProcesses, identifyProcess, readCgroupLayout, sendSignal } from '../linux/index.ts';
import { ConmonRuntime } from './conmon-runtime.ts';
import { busyboxSpec, collectOutput, makeTestRuntime, until } from './testing/busybox.ts';
import { printed, startDaemon } from './testing/daemon.ts';

const ticks = (count: number, code: number): string[] => [
  '/bin/sh',
  '-c',
  `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo tick $i; echo err $i >&2; sleep 0.05; done; exit ${code}`,
];

test('adopts containers of a killed daemon with whole logs and exit codes', async () => {
  await using env = await makeTestRuntime();
  const long = busyboxSpec(env.rootfs, ticks(40, 42));
  const short = busyboxSpec(env.rootfs, ticks(2, 5));
  const shell = busyboxSpec(env.rootfs, ['/bin/sh'], { tty: true, openStdin: true });
  const daemon = startDaemon(
    env.options,
    [long, short, shell],
    `for (const spec of specs) {
       await runtime.create(spec);
       const streams = await runtime.attach(spec.id);
       void (async () => { for await (const _ of streams.output); })();
       await runtime.start(spec.id);
     }`,
  );
  await printed(daemon, 'ready');
  daemon.process.kill(9);
  await daemon.process.exited;
  await until('the short one to end without a daemon', () =>
    existsSync(join(env.folder, 'run/exits', short.id)),
  );

  const found = await env.runtime.recover();
  const state = new Map(found.map((container) => [container.id, container]));
  assert.equal(state.get(long.id)?.status, 'running');
  assert.equal(state.get(shell.id)?.status, 'running');
  const ended = state.get(short.id);
  assert.ok(ended?.status === 'exited');
  assert.equal(ended.exit.exitCode, 5);

  const streams = await env.runtime.attach(shell.id);
  const output = collectOutput(streams);
  streams.input?.write('echo again-$((40+2)); exit 7\n');
  assert.equal((await env.runtime.wait(shell.id)).exitCode, 7);
  assert.match((await output).stdout, /again-42/);

  assert.equal((await env.runtime.wait(long.id)).exitCode, 42);
  const lines: Record<1 | 2, string[]> = { 1: [], 2: [] };
  for await (const line of env.runtime.logs(long.id, {})) lines[line.stream].push(line.data.toString());
  const numbers = Array.from({ length: 40 }, (_, index) => index + 1);
  assert.deepEqual(
    lines[1],
    numbers.map((number) => `tick ${number}\n`),
  );
  assert.deepEqual(
    lines[2],
    numbers.map((number) => `err ${number}\n`),
  );
});

test('gives an exit that came while no daemon was there its true time', async () => {
  await using env = await makeTestRuntime();
  const spec = busyboxSpec(env.rootfs, ['/bin/true']);
  await env.runtime.create(spec);
  await env.runtime.start(spec.id);
  const { finishedAt } = await env.runtime.wait(spec.id);
  await env.runtime.close();
  const next = new ConmonRuntime(env.options);
  try {
    const exit = await next.wait(spec.id);
    assert.equal(exit.finishedAt, finishedAt);
    assert.ok(Math.abs(Date.now() - finishedAt) < 60_000);
  } finally {
    await next.close();
  }
});

test('removes what was created and never started', async () => {
  await using env = await makeTestRuntime();
  const spec = busyboxSpec(env.rootfs, ['/bin/sleep', '600']);
  const daemon = startDaemon(env.options, [spec], 'await runtime.create(specs[0]);');
  await printed(daemon, 'ready');
  daemon.process.kill(9);
  await daemon.process.exited;
  assert.deepEqual(await env.runtime.list(), [spec.id]);
  assert.deepEqual(await env.runtime.recover(), []);
  assert.deepEqual(await env.runtime.list(), []);
  assert.deepEqual(cgroupProcesses(readCgroupLayout(), env.options.cgroupParent ?? ''), []);
});

for (const how of ['recovery', 'delete'] as const) {
  test(`cleans up by ${how} after a daemon killed at any moment of a create`, async () => {
    await using env = await makeTestRuntime();
    const { runtime } = env;
    const signs = ['config.json', 'varve.json', 'conmon.pid', 'pidfile'];
    for (const sign of signs) {
      const spec = busyboxSpec(env.rootfs, ['/bin/sleep', '600']);
      const daemon = startDaemon(env.options, [spec], `console.log('go'); await runtime.create(specs[0]);`);
      await printed(daemon, 'go');
      const bundle = join(env.folder, 'run/c', spec.id);
      await until(sign, () => existsSync(join(bundle, sign)));
      daemon.process.kill(9);
      await daemon.process.exited;
      if (how === 'delete') await runtime.delete(spec.id);
    }
    if (how === 'recovery') assert.deepEqual(await runtime.recover(), []);
    assert.deepEqual(await runtime.list(), []);
    assert.deepEqual(readdirSync(join(env.folder, 'run/exits')), []);
    const layout = readCgroupLayout();
    assert.deepEqual(cgroupProcesses(layout, env.options.cgroupParent ?? ''), []);
  });
}

test('ends a container whose conmon was killed, and says so', async () => {
  await using env = await makeTestRuntime();
  const spec = busyboxSpec(env.rootfs, [
    '/bin/sh',
    '-c',
    'trap "" PIPE; while true; do echo x; sleep 0.1; done',
  ]);
  const { pid } = await env.runtime.create(spec);
  await env.runtime.start(spec.id);
  const exit = env.runtime.wait(spec.id);
  const conmon = Number(readFileSync(join(env.folder, 'run/c', spec.id, 'conmon.pid'), 'utf8'));
  sendSignal(conmon, 9);
  const { exitCode, error } = await exit;
  assert.deepEqual({ exitCode, error }, { exitCode: 137, error: 'supervisor lost' });
  assert.equal(identifyProcess(pid), undefined);
});

test('never takes a stranger for a conmon because of a pid in a file', async () => {
  await using env = await makeTestRuntime();
  const spec = busyboxSpec(env.rootfs, ['/bin/true']);
  await env.runtime.create(spec);
  await env.runtime.start(spec.id);
  await env.runtime.wait(spec.id);
  writeFileSync(join(env.folder, 'run/c', spec.id, 'conmon.pid'), String(process.pid));
  await env.runtime.delete(spec.id);
  assert.deepEqual(await env.runtime.list(), []);
});

test('lets an exec of a killed daemon run on and sweeps its session when the container goes', async () => {
  await using env = await makeTestRuntime();
  const spec = busyboxSpec(env.rootfs, ['/bin/sleep', '600']);
  const execId = randomId();
  const daemon = startDaemon(
    env.options,
    [spec],
    `await runtime.create(specs[0]); await runtime.start(specs[0].id);
     await runtime.exec(specs[0].id, ${JSON.stringify(execId)}, { args: ['/bin/sleep', '500'], env: [], workingDir: '',
       user: '', tty: false, openStdin: false, privileged: false });`,
  );
  await printed(daemon, 'ready');
  daemon.process.kill(9);
  await daemon.process.exited;
  await env.runtime.recover();
  assert.equal((await env.runtime.processes(spec.id)).length, 2);
  await env.runtime.delete(spec.id);
  assert.deepEqual(readdirSync(join(env.folder, 'run/x')), []);
});
