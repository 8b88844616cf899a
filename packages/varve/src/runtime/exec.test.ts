import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { randomId } from '../base/index.ts';
import { busyboxSpec, collectOutput, makeTestRuntime, type TestRuntime, until } from './testing/busybox.ts';
import type { ContainerRuntime, ExecSpec } from './types.ts';

let env: TestRuntime;
let runtime: ContainerRuntime;
let id: string;
before(async () => {
  env = await makeTestRuntime();
  ({ runtime } = env);
  const spec = busyboxSpec(env.rootfs, ['/bin/sleep', '6000'], { env: ['COLOUR=red'], workingDir: '/tmp' });
  ({ id } = spec);
  await runtime.create(spec);
  await runtime.start(id);
});
after(async () => {
  await env[Symbol.asyncDispose]();
});

function execSpec(args: readonly string[], changes: Partial<ExecSpec> = {}): ExecSpec {
  return {
    args,
    env: [],
    workingDir: '',
    user: '',
    tty: false,
    openStdin: false,
    privileged: false,
    ...changes,
  };
}

async function exec(
  args: readonly string[],
  changes: Partial<ExecSpec> = {},
  input?: string,
): Promise<{ stdout: string; stderr: string; exitCode: number }> {
  const running = await runtime.exec(id, randomId(), execSpec(args, changes));
  const output = collectOutput(running.streams);
  if (input !== undefined) running.streams.input?.end(input);
  const exitCode = await running.exit;
  return { ...(await output), exitCode };
}

test('runs a process in the container with its own output and exit code', async () => {
  assert.deepEqual(await exec(['/bin/sh', '-c', 'echo out; echo err >&2; exit 9']), {
    stdout: 'out\n',
    stderr: 'err\n',
    exitCode: 9,
  });
});

test('takes environment and folder from the container, and the exec’s own over them', async () => {
  assert.equal((await exec(['/bin/sh', '-c', 'echo $COLOUR $(pwd)'])).stdout, 'red /tmp\n');
  const changed = await exec(['/bin/sh', '-c', 'echo $COLOUR $(pwd) $NEW'], {
    env: ['COLOUR=blue', 'NEW=1'],
    workingDir: '/etc',
  });
  assert.equal(changed.stdout, 'blue /etc 1\n');
});

test('runs as a user of the image, without root’s capabilities', async () => {
  const { stdout } = await exec(['/bin/sh', '-c', 'id; grep CapEff /proc/self/status'], { user: 'ann' });
  assert.equal(stdout, 'uid=1000(ann) gid=1000(ann) groups=10(wheel),1000(ann)\nCapEff:\t0000000000000000\n');
  await assert.rejects(exec(['/bin/true'], { user: 'nobody-here' }), {
    kind: 'invalid',
    message: 'unable to find user nobody-here: no matching entries in passwd file',
  });
});

test('gives all that the engine has to a privileged exec', async () => {
  const { stdout } = await exec(['/bin/grep', 'CapEff', '/proc/self/status'], { privileged: true });
  assert.notEqual(stdout, 'CapEff:\t00000000a80425fb\n');
});

test('passes stdin to its end', async () => {
  const text = 'line\n'.repeat(50_000);
  const { stdout, exitCode } = await exec(['/bin/cat'], { openStdin: true }, text);
  assert.equal(stdout, text);
  assert.equal(exitCode, 0);
});

test('delivers every byte of 3 MB of output before the exit, again and again', async () => {
  for (let round = 0; round < 6; round++) {
    const { stdout, exitCode } = await exec([
      '/bin/sh',
      '-c',
      'head -c 3000000 /dev/zero | tr "\\0" x; exit 4',
    ]);
    assert.equal(stdout.length, 3_000_000);
    assert.equal(exitCode, 4);
  }
});

test('delivers the output of the shortest program', async () => {
  for (let round = 0; round < 10; round++) {
    assert.deepEqual(await exec(['/bin/echo', 'x']), { stdout: 'x\n', stderr: '', exitCode: 0 });
  }
});

test('waits for a slow reader instead of losing output', async () => {
  const running = await runtime.exec(
    id,
    randomId(),
    execSpec(['/bin/sh', '-c', 'head -c 6000000 /dev/zero']),
  );
  const pid = running.pid;
  // Full buffers hold the process.
  await until('the exec to block', () => existsSync(`/proc/${pid}`));
  let size = 0;
  for await (const { data } of running.streams.output) {
    size += data.length;
    if (size % 10 === 0) await new Promise(setImmediate);
  }
  assert.equal(size, 6_000_000);
  assert.equal(await running.exit, 0);
});

test('has a terminal of the wanted size that can be resized', async () => {
  const running = await runtime.exec(
    id,
    randomId(),
    execSpec(['/bin/sh', '-c', 'stty size; read x; stty size; tty'], {
      tty: true,
      openStdin: true,
      terminalSize: { rows: 33, columns: 101 },
    }),
  );
  let text = '';
  const reading = (async () => {
    for await (const { data } of running.streams.output) text += data.toString();
  })();
  await until('the first size', () => text.includes('33 101'));
  await Promise.all([running.resize(10, 20), running.resize(50, 120)]);
  running.streams.input?.write('\n');
  assert.equal(await running.exit, 0);
  await reading;
  assert.match(text, /33 101\r\n\r\n50 120\r\n\/dev\/pts\/0\r\n$/);
});

test('maps a missing program to 127 and one that is not executable to 126', async () => {
  await assert.rejects(exec(['/nope']), {
    kind: 'invalid',
    data: { exitCode: 127 },
    message:
      /^OCI runtime exec failed: exec failed: .*exec: "\/nope": stat \/nope: no such file or directory: unknown$/,
  });
  await assert.rejects(exec(['nope-in-path']), { kind: 'invalid', data: { exitCode: 127 } });
  await assert.rejects(exec(['/etc/passwd']), { kind: 'invalid', data: { exitCode: 126 } });
});

test('does not wait for a background child that holds its output', async () => {
  const started = Date.now();
  const { stdout } = await exec(['/bin/sh', '-c', 'sleep 600 & echo done']);
  assert.equal(stdout, 'done\n');
  assert.ok(Date.now() - started < 120_000);
});

test('ends when its reader has gone', async () => {
  const running = await runtime.exec(
    id,
    randomId(),
    execSpec(['/bin/sh', '-c', 'head -c 5000000 /dev/zero; exit 6']),
  );
  running.streams.close();
  assert.equal(await running.exit, 6);
});

test('leaks no descriptor of ours into the container or an exec', async () => {
  assert.equal((await exec(['/bin/ls', '/proc/1/fd'])).stdout, '0\n1\n2\n');
  // The fourth is the folder that ls reads.
  assert.equal((await exec(['/bin/ls', '/proc/self/fd'])).stdout, '0\n1\n2\n3\n');
});

test('leaves no session behind', async () => {
  await exec(['/bin/true']);
  await assert.rejects(exec(['/nope']));
  assert.deepEqual(readdirSync(join(env.folder, 'run/x')), []);
});

test('ends when its container is deleted', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/sleep', '600']);
  await runtime.create(spec);
  await runtime.start(spec.id);
  const running = await runtime.exec(spec.id, randomId(), execSpec(['/bin/sh', '-c', 'echo up; sleep 600']));
  const output = collectOutput(running.streams);
  await until('the exec to run', () => existsSync(`/proc/${running.pid}`));
  await runtime.delete(spec.id);
  assert.equal(await running.exit, 137);
  await output;
});

test('is refused in a container that has ended', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/true']);
  await runtime.create(spec);
  await runtime.start(spec.id);
  await runtime.wait(spec.id);
  await assert.rejects(runtime.exec(spec.id, randomId(), execSpec(['/bin/true'])), { kind: 'conflict' });
  await assert.rejects(runtime.exec('unknown', randomId(), execSpec(['/bin/true'])), { kind: 'not-found' });
});
