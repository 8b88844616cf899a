import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from '../engine/harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

/** The present in the form that cuts no second off. */
const now = (): string => (Date.now() / 1000).toFixed(9);

/** Pids of live processes whose command line holds all the words. */
function processesWith(...words: readonly string[]): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8');
      return words.every((word) => command.includes(word)) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

test('a health check that never ends is killed at its time, one at a time, and its output is bounded', {
  timeout: 60_000,
}, async () => {
  const flags = ['--health-interval', '100ms', '--health-timeout', '300ms', '--health-retries', '1'];
  await engine.ok(
    'run',
    '-d',
    '--name',
    'stuck',
    '--health-cmd',
    'exec sleep 98765',
    ...flags,
    'busybox',
    'sleep',
    '1000',
  );
  await engine.ok(
    'run',
    '-d',
    '--name',
    'loud',
    '--health-cmd',
    'yes | head -c 3000000; exit 1',
    ...flags,
    'busybox',
    'sleep',
    '1000',
  );
  for (const name of ['stuck', 'loud']) {
    await eventually(
      `${name} is unhealthy`,
      async () => (await engine.inspect(name, '{{.State.Health.Status}}')) === 'unhealthy',
      20_000,
    );
  }
  assert.match(await engine.inspect('stuck', '{{(index .State.Health.Log 0).Output}}'), /exceeded timeout/);
  const log = JSON.parse(await engine.inspect('loud', '{{json .State.Health.Log}}')) as { Output: string }[];
  for (const { Output } of log) assert.ok(Output.length <= 4096 + 20, String(Output.length));
  assert.ok(processesWith('sleep', '98765').length <= 1);
  await engine.ok('rm', '-f', 'stuck', 'loud');
  await eventually('no probe is left', () => processesWith('sleep', '98765').length === 0);
});

test('a very long interval is waited for, not skipped', { timeout: 30_000 }, async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'patient',
    '--health-cmd',
    'echo x >> /probes',
    '--health-interval',
    '1000h',
    '--health-start-interval',
    '1000h',
    'busybox',
    'sleep',
    '1000',
  );
  await engine.ok('exec', 'patient', 'true');
  assert.equal(await engine.ok('exec', 'patient', 'sh', '-c', 'cat /probes 2>/dev/null | wc -l'), '0');
  const stop = engine.docker('stop', '-t', '9999999', 'patient');
  // sleep is process 1 and ignores SIGTERM: only SIGKILL would end it, after 115 days.
  await eventually('the signal was sent', async () =>
    /kill/.test(
      await engine.ok(
        'events',
        '--since',
        '10s',
        '--until',
        now(),
        '--filter',
        'container=patient',
        '--format',
        '{{.Action}}',
      ),
    ),
  );
  assert.equal(await engine.inspect('patient', '{{.State.Running}}'), 'true');
  await engine.ok('kill', 'patient');
  assert.equal((await stop).code, 0);
  await engine.ok('rm', 'patient');
});

test('exec in a paused container is refused, in an ending one it ends', {
  timeout: 60_000,
}, async () => {
  await engine.ok('run', '-d', '--name', 'frozen', 'busybox', 'sleep', '1000');
  await engine.ok('pause', 'frozen');
  await engine.fails(1, /is paused, unpause the container before exec/, 'exec', 'frozen', 'true');
  await engine.ok('unpause', 'frozen');
  const racing = Array.from({ length: 8 }, () => engine.docker('exec', 'frozen', 'sleep', '0.05'));
  const [killed, ...results] = await Promise.all([engine.docker('kill', 'frozen'), ...racing]);
  assert.equal(killed?.code, 0, killed?.stderr);
  // Which code depends on the step that the kill met; what counts is that each client is let go.
  for (const { code } of results) assert.ok(code >= 0, String(code));
  await engine.fails(1, /is not running/, 'exec', 'frozen', 'true');
  await engine.ok('rm', '-f', 'frozen');
});

test('a container whose conmon is killed does not stay for ever', { timeout: 60_000 }, async () => {
  const id = await engine.ok(
    'run',
    '-d',
    '--name',
    'orphan',
    '-p',
    '127.0.0.1:0:80',
    'busybox',
    'sleep',
    '1000',
  );
  const [conmon] = processesWith('conmon', id);
  assert.ok(conmon !== undefined);
  process.kill(conmon, 'SIGKILL');
  await engine.ok('rm', '-f', 'orphan');
  assert.equal(await engine.ok('ps', '-aq'), '');
  assert.deepEqual(processesWith(id), []);
});

test('the end of a container without its conmon is found, and its port is free again', {
  timeout: 60_000,
}, async () => {
  const flags = ['-d', '-p', '127.0.0.1:18080:80', 'busybox', 'sleep', '1000'];
  const id = await engine.ok('run', ...flags);
  const [conmon] = processesWith('conmon', id);
  const pid = Number(await engine.inspect(id, '{{.State.Pid}}'));
  process.kill(conmon as number, 'SIGKILL');
  process.kill(pid, 'SIGKILL');
  assert.equal(await engine.ok('wait', id), '137');
  assert.equal(await engine.inspect(id, '{{.State.Status}} {{.State.Pid}}'), 'exited 0');
  const next = await engine.ok('run', ...flags);
  await engine.ok('rm', '-f', id, next);
});

test('a container whose process is killed from outside has one end, told once', {
  timeout: 60_000,
}, async () => {
  const since = String(Math.floor(Date.now() / 1000) - 1);
  await engine.ok('run', '-d', '--name', 'victim', 'busybox', 'sleep', '1000');
  process.kill(Number(await engine.inspect('victim', '{{.State.Pid}}')), 'SIGKILL');
  assert.equal(await engine.ok('wait', 'victim'), '137');
  await engine.ok('rm', 'victim');
  const told = await engine.ok(
    'events',
    '--since',
    since,
    '--until',
    now(),
    '--filter',
    'container=victim',
    '--format',
    '{{.Action}}',
  );
  assert.deepEqual(
    told.split('\n').filter((action) => ['start', 'die', 'destroy'].includes(action)),
    ['start', 'die', 'destroy'],
  );
});

test('a program that fails at once restarts with growing pauses, and stops when told', {
  timeout: 60_000,
}, async () => {
  const since = String(Math.floor(Date.now() / 1000) - 1);
  await engine.ok('run', '-d', '--name', 'loop', '--restart', 'always', 'busybox', 'false');
  await eventually(
    'it restarted',
    async () => Number(await engine.inspect('loop', '{{.RestartCount}}')) >= 4,
    20_000,
  );
  await engine.ok('stop', 'loop');
  const count = await engine.inspect('loop', '{{.RestartCount}}');
  const told = await engine.ok(
    'events',
    '--since',
    since,
    '--until',
    now(),
    '--filter',
    'container=loop',
    '--format',
    '{{.Action}}',
  );
  const times = (action: string) => told.split('\n').filter((line) => line === action).length;
  assert.equal(times('start'), times('die'));
  assert.ok(times('start') < 12, 'the pauses grow');
  assert.equal(times('start'), Number(count) + 1);
  await engine.ok('rm', 'loop');
});

/** What a container's life takes from the host and must give back. */
function held(): Record<string, number> {
  const pid = readFileSync(join(engine.folder, 'pid'), 'utf8').trim();
  const inside = (program: string, ...args: string[]) =>
    execFileSync('nsenter', [`--net=/run/netns/${engine.netns}`, program, ...args], { encoding: 'utf8' });
  const folder = (...path: string[]) => {
    try {
      return readdirSync(join(engine.folder, ...path)).length;
    } catch {
      return 0;
    }
  };
  return {
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(engine.folder)).length,
    devices: inside('ip', '-o', 'link').split('\n').length,
    rules: inside('nft', 'list', 'ruleset').split('\n').length,
    containers: folder('root', 'containers'),
    bundles: folder('run', 'runtime', 'c'),
    volumes: folder('root', 'volumes'),
    conmons: processesWith('conmon', engine.folder).length,
    memoryGroups: readdirSync('/sys/fs/cgroup').length,
    threads: Number(/Threads:\t(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]),
    files: readdirSync(`/proc/${pid}/fd`).length,
  };
}

test('forty lives of containers leave nothing behind', { timeout: 90_000 }, async () => {
  const life = async (): Promise<void> => {
    const id = await engine.ok(
      'create',
      '-p',
      '127.0.0.1::80',
      '-v',
      '/anonymous',
      '--tmpfs',
      '/t',
      '--shm-size',
      '1m',
      '--ipc',
      'shareable',
      'busybox',
      'true',
    );
    await engine.ok('start', '-a', id);
    await engine.ok('rm', '-v', id);
  };
  for (let round = 0; round < 3; round++) await life();
  const before = held();
  for (let round = 0; round < 20; round++) await Promise.all([life(), life()]);
  await eventually('all is given back', () => {
    const after = held();
    const more = Object.keys(before).filter(
      (key) =>
        (after[key] as number) > (before[key] as number) + (['files', 'threads'].includes(key) ? 4 : 0),
    );
    return more.length === 0;
  }).catch((error: unknown) => assert.deepEqual(held(), before, String(error)));
});
