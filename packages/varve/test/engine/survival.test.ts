import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

test('a killed engine leaves containers running and finds them again, with logs, ports, exec and exit codes', async () => {
  await engine.ok('network', 'create', 'net');
  await engine.ok(
    'run',
    '-d',
    '--name',
    'lives',
    '--network',
    'net',
    '-p',
    '18090:80',
    '-v',
    'vol:/v',
    'busybox',
    'sh',
    '-c',
    'echo up; httpd -p 80 -h /etc; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done',
  );
  await engine.ok('run', '-d', '--name', 'ends', 'busybox', 'sh', '-c', 'sleep 1; echo bye; exit 42');
  const monitor = monitorOf(await engine.inspect('ends', '{{.State.Pid}}'));
  await engine.ok('run', '-d', '--rm', '--name', 'vanishes', 'busybox', 'sleep', '0.5');
  await engine.ok('run', '-d', '--name', 'again', '--restart', 'always', 'busybox', 'sleep', '0.8');
  const pid = await engine.inspect('lives', '{{.State.Pid}}');
  await engine.down('SIGKILL');
  await eventually('the short one ended', () => hasEnded(monitor));
  const up = Date.now();
  await engine.up();
  assert.equal(await engine.inspect('lives', '{{.State.Status}} {{.State.Pid}}'), `running ${pid}`);
  assert.equal(await engine.inspect('ends', '{{.State.Status}} {{.State.ExitCode}}'), 'exited 42');
  const finished = Date.parse(await engine.inspect('ends', '{{.State.FinishedAt}}'));
  const started = Date.parse(await engine.inspect('ends', '{{.State.StartedAt}}'));
  assert.ok(finished - started > 900 && finished <= up, `it ran ${finished - started} ms`);
  assert.equal(await engine.ok('logs', 'ends'), 'bye');
  await eventually(
    'the --rm one is gone',
    async () => (await engine.ok('ps', '-aq', '--filter', 'name=vanishes')) === '',
  );
  await eventually(
    'the policy acts',
    // It ends again after 0.8 s each time, so that its status alone may never be seen running.
    async () => Date.parse(await engine.inspect('again', '{{.State.StartedAt}}')) > up,
  );
  assert.equal(await engine.ok('exec', 'lives', 'echo', 'hi'), 'hi');
  assert.equal((await engine.onHost('curl', '-sf', 'http://127.0.0.1:18090/passwd')).code, 0);
  await engine.ok('run', '--rm', '--network', 'net', 'busybox', 'ping', '-c1', '-W2', 'lives');
  const lines = (await engine.ok('logs', 'lives')).split('\n').slice(1).map(Number);
  lines.forEach((line, index) => assert.equal(line, index + 1));
  await engine.fails(1, /volume is in use/, 'volume', 'rm', 'vol');
  await engine.ok('rm', '-f', 'lives', 'again', 'ends');
  await engine.ok('volume', 'rm', 'vol');
  await engine.ok('network', 'rm', 'net');
});

/** Pid of the conmon of a container's process; it ends when it has written the exit code. */
function monitorOf(pid: string): string {
  try {
    const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    // Of a process that outlived its conmon it is process 1, which never ends.
    return parent === undefined || parent === '1' ? 'none' : parent;
  } catch {
    // On a slow machine it has ended already.
    return 'none';
  }
}

/** True of a zombie, too: not every process 1 reaps. */
function hasEnded(pid: string): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

test('containers that ended while no engine ran are started again by their policy, however many', async () => {
  // To restore so many takes longer than the back-off of the first.
  const names = Array.from({ length: 12 }, (_, index) => `again${index}`);
  const flags = join(engine.folder, 'flags');
  mkdirSync(flags);
  const life = '[ -e /flags/end ] && exec sleep 1000; while [ ! -e /flags/end ]; do sleep 0.05; done';
  for (const name of names) {
    const policy = ['--name', name, '--restart', 'always', '-v', `${flags}:/flags`];
    await engine.ok('run', '-d', ...policy, 'busybox', 'sh', '-c', life);
  }
  const ask = async (field: string): Promise<string[]> =>
    (await engine.ok('inspect', '--format', `{{.State.${field}}}`, ...names)).split('\n');
  const monitors = (await ask('Pid')).map(monitorOf);
  await engine.down('SIGKILL');
  writeFileSync(join(flags, 'end'), '');
  await eventually('all ended', () => monitors.every(hasEnded));
  const up = Date.now();
  await engine.up();
  await eventually('all run again', async () => (await ask('StartedAt')).every((at) => Date.parse(at) > up));
  assert.deepEqual(
    await ask('Status'),
    names.map(() => 'running'),
  );
  const gateway = await engine.ok('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', 'bridge');
  for (const name of names) await engine.ok('exec', name, 'ping', '-c1', '-W5', gateway);
  await engine.ok('rm', '-f', ...names);
});

test('nothing is left of removed containers: mounts, namespaces, folders, runtime state', async () => {
  assert.equal(await engine.ok('ps', '-aq'), '');
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${engine.folder}/root/snapshots`) && line.includes(' overlay '));
  assert.deepEqual(mounts, []);
  assert.deepEqual(readdirSync(join(engine.folder, 'root/containers')), []);
  assert.deepEqual(readdirSync(join(engine.folder, 'run/runtime/c')), []);
  assert.deepEqual(readdirSync(join(engine.folder, 'run/netns')), []);
  const links = await engine.onHost('ip', '-br', 'link');
  assert.doesNotMatch(links.stdout, /veth|vv/);
});

test('a clean stop stops containers; their policy starts them with the next engine', async () => {
  await engine.ok('run', '-d', '--name', 'plain', 'busybox', 'sleep', '1000');
  await engine.ok('run', '-d', '--name', 'kept', '--restart', 'unless-stopped', 'busybox', 'sleep', '1000');
  await engine.ok('run', '-d', '--name', 'halted', '--restart', 'unless-stopped', 'busybox', 'sleep', '1000');
  await engine.ok('stop', '-t', '0', 'halted');
  await engine.ok('update', '--restart', 'no', 'plain');
  const running = await engine.inspect('plain', '{{.State.Pid}}');
  await engine.down();
  assert.throws(() => readFileSync(`/proc/${running}/stat`), 'it was stopped');
  await engine.up();
  assert.match(await engine.inspect('plain', '{{.State.Status}}'), /exited/);
  await eventually(
    'kept runs',
    async () => (await engine.inspect('kept', '{{.State.Status}}')) === 'running',
  );
  assert.equal(await engine.inspect('halted', '{{.State.Status}}'), 'exited');
  await engine.ok('rm', '-f', 'plain', 'kept', 'halted');
});

test('a second engine on the same root refuses', async () => {
  const second = await engine.onHost(
    ...([process.execPath, new URL('../../src/bin/varve.ts', import.meta.url).pathname, 'engine'] as [
      string,
      string,
      string,
    ]),
    '--data-root',
    join(engine.folder, 'root'),
    '--exec-root',
    join(engine.folder, 'run2'),
    '--host',
    `unix://${engine.folder}/second.sock`,
  );
  assert.notEqual(second.code, 0);
  assert.match(second.stderr + second.stdout, /another engine uses/);
  await engine.ok('run', '--rm', 'busybox', 'true');
});
