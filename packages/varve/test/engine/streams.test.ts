import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  await engine.ok('run', '-d', '--name', 'box', '-e', 'FROM_RUN=1', 'busybox', 'sleep', '100000');
});
after(() => engine[Symbol.asyncDispose]());

test('exec: output on both streams, exit code, environment', async () => {
  const result = await engine.docker(
    'exec',
    '-e',
    'A=2',
    'box',
    'sh',
    '-c',
    'echo $FROM_RUN$A; echo no >&2; exit 5',
  );
  assert.deepEqual([result.code, result.stdout, result.stderr], [5, '12\n', 'no\n']);
});

test('exec -i reads stdin to its end and goes on writing', async () => {
  const text = 'x'.repeat(1_000_000);
  const result = await engine.dockerInput(text, 'exec', '-i', 'box', 'sh', '-c', 'wc -c; echo after');
  assert.deepEqual(result.stdout.split(/\s+/).filter(Boolean), ['1000000', 'after']);
});

test('exec -it has a terminal', async () => {
  const result = await engine.dockerTty('echo $((6*7)); exit 3\n', 'exec', '-it', 'box', 'sh');
  assert.match(result.stdout, /\b42\b/);
  assert.equal(result.code, 3);
});

test('exec of what is not there, as a user, in a folder, detached', async () => {
  await engine.fails(127, /no such file or directory|not found/, 'exec', 'box', '/nope');
  assert.equal(
    await engine.ok('exec', '-u', '1000', '-w', '/var', 'box', 'sh', '-c', 'id -u; pwd'),
    '1000\n/var',
  );
  await engine.ok('exec', '-d', 'box', 'touch', '/tmp/detached');
  await eventually(
    'the file',
    async () => (await engine.docker('exec', 'box', 'test', '-e', '/tmp/detached')).code === 0,
  );
  await engine.fails(1, /No such container/, 'exec', 'nobody', 'true');
});

test('exec in a stopped container is refused', async () => {
  await engine.ok('create', '--name', 'idle', 'busybox');
  await engine.fails(1, /is not running/, 'exec', 'idle', 'true');
  await engine.ok('rm', 'idle');
});

test('twenty execs at a time all end with their output', async () => {
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      engine.docker('exec', 'box', 'sh', '-c', `echo ${index}; exit ${index}`),
    ),
  );
  results.forEach((result, index) => assert.deepEqual([result.code, result.stdout], [index, `${index}\n`]));
});

test('logs: both streams apart, tail, timestamps, since', async () => {
  await engine.docker(
    'run',
    '--name',
    'talk',
    'busybox',
    'sh',
    '-c',
    'for i in 1 2 3; do echo o$i; done; echo e >&2',
  );
  const all = await engine.docker('logs', 'talk');
  assert.deepEqual([all.stdout, all.stderr], ['o1\no2\no3\n', 'e\n']);
  assert.equal((await engine.docker('logs', '--tail', '2', 'talk')).stdout, 'o3\n');
  const [stamp = ''] = (await engine.docker('logs', '-t', 'talk')).stdout.split('\n');
  assert.match(stamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z o1$/);
  assert.equal((await engine.docker('logs', '--since', '2099-01-01', 'talk')).stdout, '');
  await engine.ok('rm', 'talk');
});

test('logs -f follows to the end of the container', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'slow',
    'busybox',
    'sh',
    '-c',
    'for i in 1 2 3 4; do echo $i; sleep 0.2; done',
  );
  assert.equal((await engine.docker('logs', '-f', 'slow')).stdout, '1\n2\n3\n4\n');
  await engine.ok('rm', 'slow');
});

test('logs -f begins before there is output', async () => {
  await engine.ok('run', '-d', '-i', '--name', 'mute', 'busybox', 'cat');
  const follower = engine.begin(['logs', '-f', 'mute']);
  let seen = '';
  follower.stdout?.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  const attached = engine.begin(['attach', 'mute']);
  attached.stdin?.write('hello\n');
  await eventually('the line', () => seen === 'hello\n');
  const ended = Promise.all(
    [follower, attached].map((client) => new Promise((resolve) => client.once('exit', resolve))),
  );
  await engine.ok('rm', '-f', 'mute');
  await ended;
});

test('attach: sees output, and the detach keys leave the container running', async () => {
  await engine.ok('run', '-dit', '--name', 'term', 'busybox', 'sh');
  const client = engine.begin(['attach', 'term'], { tty: true });
  let seen = '';
  client.stdout?.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  client.stdin?.write('echo $((6*7))\n');
  await eventually('the answer', () => seen.includes('42'));
  client.stdin?.write('\u0010\u0011');
  await new Promise((resolve) => client.once('exit', resolve));
  assert.equal(await engine.inspect('term', '{{.State.Status}}'), 'running');
  await engine.ok('rm', '-f', 'term');
});

test('run -d then attach ends with the container’s exit code', async () => {
  await engine.ok('run', '-d', '--name', 'code', 'busybox', 'sh', '-c', 'sleep 0.5; exit 8');
  assert.equal((await engine.docker('attach', 'code')).code, 8);
  await engine.ok('rm', 'code');
});

test('a client that goes away leaves no follower behind', async () => {
  const follower = engine.begin(['logs', '-f', 'box']);
  const watcher = engine.begin(['events']);
  await eventually(
    'a listener',
    async () => (await engine.ok('info', '--format', '{{.NEventsListener}}')) === '1',
  );
  watcher.kill('SIGKILL');
  follower.kill('SIGKILL');
  await eventually(
    'no listener',
    async () => (await engine.ok('info', '--format', '{{.NEventsListener}}')) === '0',
  );
});

test('Ctrl-C of docker run reaches the program as a signal', async () => {
  const client = engine.begin([
    'run',
    '--rm',
    '--name',
    'intr',
    'busybox',
    'sh',
    '-c',
    'trap "echo caught; exit 6" INT; while :; do sleep 0.1; done',
  ]);
  let out = '';
  client.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  await eventually(
    'it runs',
    async () => (await engine.docker('inspect', '-f', '{{.State.Running}}', 'intr')).stdout.trim() === 'true',
  );
  await eventually(
    'the trap is set',
    async () =>
      (await engine.docker('exec', 'intr', 'sh', '-c', 'grep SigCgt /proc/1/status | grep -q 2')).code === 0,
  );
  client.kill('SIGINT');
  const code = await new Promise((resolve) => client.once('exit', resolve));
  assert.equal(code, 6);
  assert.equal(out, 'caught\n');
});
