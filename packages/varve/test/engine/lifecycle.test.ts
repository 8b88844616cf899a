import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

const sleeper = ['busybox', 'sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.1; done'];

test('start, stop with the container’s own answer to the signal, start again, remove', async () => {
  await engine.ok('run', '-d', '--name', 'one', ...sleeper);
  assert.equal(await engine.inspect('one', '{{.State.Status}}'), 'running');
  await engine.ok('stop', 'one');
  assert.equal(await engine.inspect('one', '{{.State.Status}} {{.State.ExitCode}}'), 'exited 3');
  await engine.ok('start', 'one');
  await engine.fails(
    1,
    /container is running: stop the container before removing or force remove/,
    'rm',
    'one',
  );
  await engine.ok('rm', '-f', 'one');
  await engine.fails(1, /No such container: one/, 'start', 'one');
});

test('stop kills after the time', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'deaf',
    'busybox',
    'sh',
    '-c',
    'trap "" TERM; while :; do sleep 1; done',
  );
  // Less than the ten seconds that it gets when nobody says otherwise.
  const before = Date.now();
  await engine.ok('stop', '-t', '1', 'deaf');
  assert.ok(Date.now() - before < 10_000);
  assert.equal(await engine.inspect('deaf', '{{.State.ExitCode}}'), '137');
  await engine.ok('rm', 'deaf');
});

test('stop signal and time of the container are used', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'usr',
    '--stop-signal',
    'SIGUSR1',
    'busybox',
    'sh',
    '-c',
    'trap "exit 9" USR1; while :; do sleep 0.1; done',
  );
  await engine.ok('stop', 'usr');
  assert.equal(await engine.inspect('usr', '{{.State.ExitCode}}'), '9');
  await engine.ok('rm', 'usr');
});

test('kill sends any signal; a stopped container refuses', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'two',
    'busybox',
    'sh',
    '-c',
    'trap "echo got" HUP; echo ready; while :; do sleep 0.1; done',
  );
  // A signal before the trap is set is lost: the first process of a container ignores what it does not handle.
  await eventually('the trap is set', async () => (await engine.ok('logs', 'two')) === 'ready');
  await engine.ok('kill', '-s', 'HUP', 'two');
  await eventually('the signal arrived', async () => (await engine.ok('logs', 'two')) === 'ready\ngot');
  await engine.ok('kill', 'two');
  assert.equal(await engine.inspect('two', '{{.State.ExitCode}}'), '137');
  await engine.fails(1, /is not running/, 'kill', 'two');
  await engine.ok('rm', 'two');
});

test('pause freezes, unpause goes on, a paused container can be stopped', async () => {
  await engine.ok('run', '-d', '--name', 'ice', ...sleeper);
  await engine.ok('pause', 'ice');
  assert.match(await engine.ok('ps', '--filter', 'name=ice', '--format', '{{.Status}}'), /\(Paused\)/);
  await engine.fails(1, /is paused/, 'exec', 'ice', 'true');
  await engine.fails(1, /already paused/, 'pause', 'ice');
  await engine.ok('unpause', 'ice');
  await engine.ok('exec', 'ice', 'true');
  await engine.ok('pause', 'ice');
  await engine.ok('stop', 'ice');
  assert.equal(await engine.inspect('ice', '{{.State.ExitCode}}'), '3');
  await engine.ok('rm', 'ice');
});

test('wait gives the exit code, of one that ended before too', async () => {
  await engine.ok('run', '-d', '--name', 'w1', 'busybox', 'sh', '-c', 'sleep 0.3; exit 4');
  assert.equal(await engine.ok('wait', 'w1'), '4');
  assert.equal(await engine.ok('wait', 'w1'), '4');
  await engine.ok('rm', 'w1');
});

test('restart policy: on-failure restarts so many times, always until it is stopped', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'flaky',
    '--restart',
    'on-failure:2',
    'busybox',
    'sh',
    '-c',
    'exit 1',
  );
  await eventually(
    'two restarts',
    async () => (await engine.inspect('flaky', '{{.RestartCount}} {{.State.Status}}')) === '2 exited',
  );
  await engine.ok('rm', 'flaky');
  await engine.ok('run', '-d', '--name', 'ever', '--restart', 'always', 'busybox', 'true');
  await eventually('a restart', async () => Number(await engine.inspect('ever', '{{.RestartCount}}')) >= 2);
  await engine.ok('stop', 'ever');
  const count = await engine.inspect('ever', '{{.RestartCount}}');
  assert.equal(await engine.inspect('ever', '{{.State.Status}}'), 'exited');
  assert.equal(await engine.inspect('ever', '{{.RestartCount}}'), count);
  await engine.ok('rm', 'ever');
});

test('update changes limits and policy of a running container', async () => {
  await engine.ok('run', '-d', '--name', 'up', '-m', '64m', ...sleeper);
  await engine.ok('update', '--memory', '32m', '--memory-swap', '32m', '--restart', 'unless-stopped', 'up');
  assert.equal(
    await engine.inspect('up', '{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}'),
    '33554432 unless-stopped',
  );
  await engine.ok('rm', '-f', 'up');
});

test('health: starting, healthy, unhealthy', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'well',
    '--health-cmd',
    'test ! -e /sick',
    '--health-interval',
    '200ms',
    '--health-retries',
    '2',
    ...sleeper,
  );
  assert.match(await engine.inspect('well', '{{.State.Health.Status}}'), /starting|healthy/);
  await eventually(
    'healthy',
    async () => (await engine.inspect('well', '{{.State.Health.Status}}')) === 'healthy',
  );
  await engine.ok('exec', 'well', 'touch', '/sick');
  await eventually(
    'unhealthy',
    async () => (await engine.inspect('well', '{{.State.Health.Status}}')) === 'unhealthy',
  );
  assert.match(
    await engine.ok('ps', '--filter', 'health=unhealthy', '--format', '{{.Status}}'),
    /\(unhealthy\)/,
  );
  await engine.ok('rm', '-f', 'well');
});

test('lists by status, label, ancestor, exit code and name', async () => {
  await engine.ok('run', '-d', '--name', 'alpha', '--label', 'team=red', ...sleeper);
  await engine.docker('run', '--name', 'beta', '--label', 'team=blue', 'busybox', 'sh', '-c', 'exit 6');
  const names = async (...filters: string[]): Promise<string> =>
    (
      await engine.ok(
        'ps',
        '-a',
        '--format',
        '{{.Names}}',
        ...filters.flatMap((filter) => ['--filter', filter]),
      )
    )
      .split('\n')
      .sort()
      .join(' ');
  assert.equal(await names('status=running'), 'alpha');
  assert.equal(await names('label=team=blue'), 'beta');
  assert.equal(await names('label=team'), 'alpha beta');
  assert.equal(await names('exited=6'), 'beta');
  assert.equal(await names('ancestor=busybox'), 'alpha beta');
  assert.equal(await names('name=alp'), 'alpha');
  await engine.fails(1, /invalid filter 'bogus'/, 'ps', '--filter', 'bogus=1');
  assert.equal(await engine.ok('ps', '-q', '--filter', 'name=beta'), '');
  await engine.ok('rm', '-f', 'alpha', 'beta');
});

test('prune removes the stopped ones', async () => {
  await engine.ok('run', '-d', '--name', 'stays', ...sleeper);
  await engine.ok('create', '--name', 'goes', 'busybox');
  await engine.ok('container', 'prune', '-f');
  assert.equal(await engine.ok('ps', '-a', '--format', '{{.Names}}'), 'stays');
  await engine.ok('rm', '-f', 'stays');
});

test('top and stats show what runs', async () => {
  await engine.ok('run', '-d', '--name', 'busy', 'busybox', 'sleep', '1000');
  assert.match(await engine.ok('top', 'busy'), /UID\s+PID[^]*sleep 1000/);
  const stats = JSON.parse(
    await engine.ok('stats', '--no-stream', '--format', '{{json .}}', 'busy'),
  ) as Record<string, string>;
  assert.equal(stats['Name'], 'busy');
  assert.equal(stats['PIDs'], '1');
  assert.match(stats['MemUsage'] ?? '', /[1-9].*\//);
  await engine.ok('rm', '-f', 'busy');
});

test('twenty containers at a time start, answer and go', async () => {
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      engine.docker(
        'run',
        '--rm',
        '--name',
        `many-${index}`,
        'busybox',
        'sh',
        '-c',
        `echo ${index}; exit ${index}`,
      ),
    ),
  );
  results.forEach((result, index) => assert.deepEqual([result.code, result.stdout], [index, `${index}\n`]));
  assert.equal(await engine.ok('ps', '-aq'), '');
});

test('the same name again and again, and a removal that is asked for twice', async () => {
  for (let round = 0; round < 5; round++) await engine.ok('run', '--rm', '--name', 'same', 'busybox', 'true');
  await engine.ok('run', '-d', '--name', 'twice', 'busybox', 'sleep', '1000');
  const codes = await Promise.all([engine.docker('rm', '-f', 'twice'), engine.docker('rm', '-f', 'twice')]);
  assert.ok(codes.some((result) => result.code === 0));
  assert.equal(await engine.ok('ps', '-aq'), '');
});
