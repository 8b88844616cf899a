import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

test('runs a command, shows its output and leaves nothing behind with --rm', async () => {
  const result = await engine.docker('run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2');
  assert.deepEqual([result.code, result.stdout, result.stderr], [0, 'out\n', 'err\n']);
  assert.equal(await engine.ok('ps', '-aq'), '');
});

test('gives the exit code of the program, and 125, 126, 127 for its own failures', async () => {
  assert.equal((await engine.docker('run', '--rm', 'busybox', 'sh', '-c', 'exit 7')).code, 7);
  assert.equal(
    (await engine.docker('run', '--rm', 'busybox', 'sh', '-c', 'sh -c "kill -9 \\$\\$"; exit $?')).code,
    137,
  );
  await engine.fails(
    127,
    /no such file or directory|executable file not found/,
    'run',
    '--rm',
    'busybox',
    '/nope',
  );
  await engine.fails(126, /permission denied/, 'run', '--rm', 'busybox', '/etc/passwd');
  await engine.fails(125, /Conflicting|cannot/i, 'run', '--rm', '--restart', 'always', 'busybox');
  assert.equal(await engine.ok('ps', '-aq'), '');
});

test('a container that cannot start stays created, with the reason', async () => {
  await engine.docker('run', '--name', 'broken', 'busybox', '/nope');
  const state = JSON.parse(await engine.inspect('broken', '{{json .State}}')) as Record<string, unknown>;
  assert.equal(state['Status'], 'created');
  assert.equal(state['ExitCode'], 127);
  assert.match(String(state['Error']), /no such file/);
  await engine.ok('rm', 'broken');
});

test('sets environment, user, working folder, host name and read-only root', async () => {
  const out = await engine
    .ok(
      'run',
      '--rm',
      '-e',
      'A=1',
      '-e',
      'PATH=/bin',
      '-u',
      'user',
      '-w',
      '/var',
      '-h',
      'box',
      '--read-only',
      'busybox',
      'sh',
      '-c',
      'echo $A $PATH $(id -u):$(id -g) $(pwd) $(hostname); touch /x 2>&1',
    )
    .catch((error: Error) => error.message);
  assert.match(out, /1 \/bin 1000:1000 \/var box/);
  assert.match(out, /Read-only file system/);
});

test('limits memory: a greedy program is killed and the record says so', async () => {
  const result = await engine.docker(
    'run',
    '--name',
    'greedy',
    '-m',
    '16m',
    '--memory-swap',
    '16m',
    'busybox',
    'sh',
    '-c',
    'dd if=/dev/zero of=/dev/null bs=64M count=1',
  );
  assert.equal(result.code, 137);
  assert.equal(
    await engine.inspect('greedy', '{{.State.OOMKilled}} {{.HostConfig.Memory}}'),
    'true 16777216',
  );
  await engine.ok('rm', 'greedy');
});

test('gives a terminal with -it', async () => {
  const result = await engine.dockerTty(
    'tty; echo $((6*7)); exit 5\n',
    'run',
    '--rm',
    '-it',
    'busybox',
    'sh',
  );
  assert.match(result.stdout, /\/dev\/pts\/0/);
  assert.match(result.stdout, /\b42\b/);
  assert.equal(result.code, 5);
});

test('reads stdin to its end with -i', async () => {
  const text = 'line\n'.repeat(100_000);
  const result = await engine.dockerInput(text, 'run', '--rm', '-i', 'busybox', 'wc', '-c');
  assert.equal(result.stdout.trim(), String(text.length));
  assert.equal(result.code, 0);
});

test('carries megabytes of output whole and in order', async () => {
  const result = await engine.docker('run', '--rm', 'busybox', 'seq', '300000');
  const lines = result.stdout.trimEnd().split('\n');
  assert.equal(lines.length, 300_000);
  assert.ok(lines.every((line, index) => line === String(index + 1)));
});

test('publishes a port on IPv4, free and chosen', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'web',
    '-p',
    '18080:80',
    '-p',
    '80',
    'busybox',
    'sh',
    '-c',
    'mkdir /www; echo hello >/www/index.html; httpd -f -p 80 -h /www',
  );
  const ports = await engine.ok('port', 'web', '80/tcp');
  const chosen = [...ports.matchAll(/0\.0\.0\.0:(\d+)/g)].map((match) => match[1] as string);
  assert.equal(chosen.length, 2);
  assert.ok(chosen.includes('18080'));
  for (const port of chosen) {
    const answer = await eventually('the page', async () => {
      const result = await engine.onHost('curl', '-sf', `http://127.0.0.1:${port}/`);
      return result.code === 0 && result.stdout;
    });
    assert.equal(answer, 'hello\n');
  }
  await engine.fails(125, /port is already allocated/, 'run', '--rm', '-p', '18080:80', 'busybox', 'true');
  await engine.ok('rm', '-f', 'web');
  await engine.ok('run', '--rm', '-p', '18080:80', 'busybox', 'true');
});

test('binds a host folder, made when missing, and a read-only one', async () => {
  const made = join(engine.folder, 'made/deep');
  await engine.ok('run', '--rm', '-v', `${made}:/data`, 'busybox', 'sh', '-c', 'echo kept >/data/file');
  assert.equal(readFileSync(join(made, 'file'), 'utf8'), 'kept\n');
  await engine.fails(1, /Read-only/, 'run', '--rm', '-v', `${made}:/data:ro`, 'busybox', 'touch', '/data/x');
  const missing = join(engine.folder, 'missing');
  await engine.fails(
    125,
    /bind source path does not exist/,
    'run',
    '--rm',
    '--mount',
    `type=bind,src=${missing},dst=/data`,
    'busybox',
    'true',
  );
  assert.ok(!existsSync(missing));
});

test('names: conflict, rules, prefix look-up, rename', async () => {
  const id = await engine.ok('create', '--name', 'first', 'busybox');
  await engine.fails(
    1,
    /The container name "\/first" is already in use/,
    'create',
    '--name',
    'first',
    'busybox',
  );
  await engine.fails(1, /Invalid container name \(_x\)/, 'create', '--name', '_x', 'busybox');
  assert.equal(await engine.inspect(id.slice(0, 12), '{{.Name}}'), '/first');
  await engine.ok('rename', 'first', 'second');
  assert.equal(await engine.inspect('second', '{{.Id}}'), id);
  await engine.fails(1, /No such object|No such container/, 'inspect', 'first');
  await engine.ok('rm', 'second');
});

test('takes an env file, labels, tmpfs, an init and added hosts', async () => {
  const file = join(engine.folder, 'env');
  writeFileSync(file, 'FROM_FILE=yes\n');
  const out = await engine.ok(
    'run',
    '--rm',
    '--env-file',
    file,
    '--label',
    'a=b',
    '--tmpfs',
    '/scratch:size=1m',
    '--add-host',
    'there:10.1.2.3',
    'busybox',
    'sh',
    '-c',
    'echo $FROM_FILE; grep there /etc/hosts; grep scratch /proc/mounts',
  );
  assert.match(out, /^yes$/m);
  assert.match(out, /10\.1\.2\.3\s+there/);
  assert.match(out, /tmpfs \/scratch .*size=1024k/);
});

test('an unknown image is told in Docker’s words', async () => {
  await engine.fails(1, /No such image: nosuch:latest/, 'image', 'inspect', 'nosuch:latest');
});

test('shares IPC with a container that allows it, and only with such a one', async () => {
  await engine.ok(
    'run',
    '-d',
    '--name',
    'donor',
    '--ipc',
    'shareable',
    'busybox',
    'sh',
    '-c',
    'echo s >/dev/shm/f; sleep 1000',
  );
  await eventually(
    'the file',
    async () => (await engine.docker('exec', 'donor', 'test', '-e', '/dev/shm/f')).code === 0,
  );
  assert.equal(
    await engine.ok('run', '--rm', '--ipc', 'container:donor', 'busybox', 'cat', '/dev/shm/f'),
    's',
  );
  await engine.ok('run', '-d', '--name', 'private', 'busybox', 'sleep', '1000');
  await engine.fails(
    125,
    /non-shareable IPC/,
    'run',
    '--rm',
    '--ipc',
    'container:private',
    'busybox',
    'true',
  );
  assert.match(
    await engine.ok('run', '--rm', '--pid', 'container:private', 'busybox', 'ps'),
    /1 root .*sleep 1000/,
  );
  await engine.ok('rm', '-f', 'donor', 'private');
});

test('an old link is a line in the hosts file', async () => {
  await engine.ok('run', '-d', '--name', 'linked', 'busybox', 'sleep', '1000');
  const address = await engine.inspect('linked', '{{.NetworkSettings.IPAddress}}');
  assert.match(
    await engine.ok('run', '--rm', '--link', 'linked:db', 'busybox', 'cat', '/etc/hosts'),
    new RegExp(`^${address}\\s+db$`, 'm'),
  );
  await engine.fails(
    125,
    /could not get container for nobody/,
    'run',
    '--rm',
    '--link',
    'nobody:x',
    'busybox',
    'true',
  );
  await engine.ok('rm', '-f', 'linked');
});

test('what cannot be given is refused, not left out', async () => {
  await engine.fails(
    125,
    /could not select device driver/,
    'run',
    '--rm',
    '--gpus',
    'all',
    'busybox',
    'true',
  );
  await engine.fails(
    125,
    /unknown or invalid runtime name: foo/,
    'run',
    '--rm',
    '--runtime',
    'foo',
    'busybox',
    'true',
  );
  await engine.fails(
    125,
    /no log driver named 'syslog'/,
    'run',
    '--rm',
    '--log-driver',
    'syslog',
    'busybox',
    'true',
  );
  assert.equal(await engine.ok('ps', '-aq'), '');
});
