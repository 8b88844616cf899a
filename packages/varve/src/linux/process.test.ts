import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { findProgram, run, sendSignal, spawn } from './process.ts';
import { identifyProcess, isAlive } from './process-identity.ts';

const busybox = findProgram('busybox');

test('runs a program with input, output and its exit code', async () => {
  const result = await run(busybox, ['sh', '-c', 'read x; echo "got $x $V"; echo bad >&2; exit 7'], {
    input: 'hello\n',
    env: { V: 'env' },
  });
  assert.equal(result.stdout.toString(), 'got hello env\n');
  assert.equal(result.stderr.toString(), 'bad\n');
  assert.equal(result.code, 7);
  assert.equal(result.signal, undefined);
});

test('inherits no environment, no descriptor and no working folder that was not given', async () => {
  const leak = openSync('/etc/hostname', 'r');
  try {
    const { stdout } = await run(
      busybox,
      ['sh', '-c', 'env | grep -v -e ^PWD= -e ^SHLVL= -e ^OLDPWD= -e ^PATH=; ls /proc/self/fd; pwd'],
      {
        cwd: '/usr',
      },
    );
    // ls itself opens descriptor 3 to read the folder.
    assert.equal(stdout.toString(), '0\n1\n2\n3\n/usr\n');
  } finally {
    closeSync(leak);
  }
});

test('names the missing program', async () => {
  await assert.rejects(run('/no/such/program', []), {
    kind: 'not-found',
    code: 'ENOENT',
    subject: '/no/such/program',
  });
  assert.throws(() => findProgram('no-such-program-anywhere'), { code: 'NO_SUCH_PROGRAM' });
});

test('kills the program when the signal fires', async () => {
  const abort = new AbortController();
  const running = run(busybox, ['sleep', '600'], { signal: abort.signal });
  abort.abort();
  await assert.rejects(running, { kind: 'cancelled' });
});

test('keeps only as much output as allowed and still lets the program end', async () => {
  const result = await run(busybox, ['head', '-c', '1000000', '/dev/zero'], { limit: 1000 });
  assert.equal(result.stdout.length, 1000);
  assert.equal(result.code, 0);
});

test('passes megabytes through whole', async () => {
  const input = Buffer.alloc(3_000_000, 'abcdefg');
  const { stdout } = await run(busybox, ['cat'], { input });
  assert.ok(stdout.equals(input));
});

test('gives a child extra descriptors in both directions', async () => {
  const child = spawn(busybox, ['sh', '-c', 'read line <&3; echo "$line!" >&4'], {
    stdio: ['null', 'null', 'null', 'input', 'output'],
  });
  child.pipes[3]?.end('ping\n');
  let text = '';
  for await (const chunk of child.pipes[4] as AsyncIterable<Buffer>) text += chunk.toString();
  assert.equal(text, 'ping!\n');
  assert.deepEqual(await child.exited, { code: 0, signal: undefined });
});

test('writes to a descriptor of ours, also when its number is one of the slots', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-process-'));
  try {
    const fd = openSync(join(folder, 'out'), 'w');
    const child = spawn(busybox, ['sh', '-c', 'echo one; echo two >&2'], { stdio: ['null', fd, fd] });
    await child.exited;
    closeSync(fd);
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'one\ntwo\n');
    const crossed = spawn(busybox, ['sh', '-c', 'test -e /proc/self/fd/2'], { stdio: ['null', 2, 1] });
    assert.equal((await crossed.exited).code, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('tells which signal ended a process, and a reaped pid is never signalled', async () => {
  const child = spawn(busybox, ['sleep', '600']);
  const identity = identifyProcess(child.pid);
  assert.ok(identity !== undefined && isAlive(identity));
  child.kill(15);
  assert.deepEqual(await child.exited, { code: undefined, signal: 15 });
  assert.equal(isAlive(identity), false);
  child.kill(9);
  assert.equal(sendSignal(child.pid, 0), false);
});

test('takes each argument as it is, without a shell', async () => {
  const odd = '$(id) `id` "; \n *';
  const { stdout } = await run(busybox, ['printf', '%s', odd]);
  assert.equal(stdout.toString(), odd);
  await assert.rejects(run(busybox, ['echo', 'a\0b']), { kind: 'invalid' });
});

test('reaps many processes at once', async () => {
  const codes = await Promise.all(
    Array.from({ length: 20 }, (_, index) => run(busybox, ['sh', '-c', `exit ${index}`])),
  );
  assert.deepEqual(
    codes.map((result) => result.code),
    Array.from({ length: 20 }, (_, index) => index),
  );
});

test('works in a worker thread, where Node delivers no SIGCHLD', async () => {
  const worker = new Worker(
    `import { run } from ${JSON.stringify(import.meta.resolve('./process.ts'))};
     import { parentPort } from 'node:worker_threads';
     parentPort.postMessage((await run(${JSON.stringify(busybox)}, ['sh', '-c', 'exit 3'])).code);`,
    { eval: true },
  );
  const code = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  assert.equal(code, 3);
});
