import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cgroupProcesses, readCgroupLayout } from '../linux/index.ts';
import { busyboxSpec, collectOutput, makeTestRuntime, type TestRuntime } from './testing/busybox.ts';
import type { ContainerRuntime, ContainerSpec, LogQuery } from './types.ts';

let env: TestRuntime;
let runtime: ContainerRuntime;
before(async () => {
  env = await makeTestRuntime();
  ({ runtime } = env);
});
after(async () => {
  await env[Symbol.asyncDispose]();
});

/** Runs a container to its end. */
async function runToEnd(
  args: readonly string[],
  changes: Partial<ContainerSpec> = {},
): Promise<{ id: string; stdout: string; stderr: string; exitCode: number }> {
  const spec = busyboxSpec(env.rootfs, args, changes);
  await runtime.create(spec);
  const output = collectOutput(await runtime.attach(spec.id));
  await runtime.start(spec.id);
  const { exitCode } = await runtime.wait(spec.id);
  return { id: spec.id, ...(await output), exitCode };
}

async function logText(id: string, query: LogQuery = {}): Promise<string> {
  let text = '';
  for await (const line of runtime.logs(id, query)) text += `${line.stream}:${line.data.toString()}`;
  return text;
}

test('runs a container and gives its output, exit code and log', async () => {
  const { id, ...result } = await runToEnd(['/bin/sh', '-c', 'echo out; echo err >&2; exit 3']);
  assert.deepEqual(result, { stdout: 'out\n', stderr: 'err\n', exitCode: 3 });
  const log = await logText(id);
  assert.deepEqual(log.split('\n').sort(), ['', '1:out', '2:err']);
  await runtime.delete(id);
});

test('leaves nothing behind after delete but the log', async () => {
  const { id } = await runToEnd(['/bin/true']);
  await runtime.delete(id);
  assert.deepEqual(
    readdirSync(join(env.folder, 'run/c')).filter((name) => name === id),
    [],
  );
  assert.deepEqual(
    readdirSync(join(env.folder, 'run/rt')).filter((name) => name === id),
    [],
  );
  assert.deepEqual(
    readdirSync(join(env.folder, 'run/exits')).filter((name) => name.startsWith(id)),
    [],
  );
  const layout = readCgroupLayout();
  for (const point of layout.controllers.values()) {
    assert.equal(existsSync(`${point}${env.options.cgroupParent}/${id}`), false);
  }
  assert.ok(existsSync(join(env.folder, 'log', id, 'container.log')));
  await assert.rejects(runtime.wait(id), { kind: 'not-found' });
});

test('kills a running container at delete and tells who waits', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/sleep', '600']);
  const { pid } = await runtime.create(spec);
  await runtime.start(spec.id);
  assert.deepEqual(await runtime.inspect(spec.id), { status: 'running', pid });
  assert.deepEqual(await runtime.processes(spec.id), [pid]);
  const exit = runtime.wait(spec.id);
  await runtime.delete(spec.id);
  assert.equal((await exit).exitCode, 137);
  assert.equal(existsSync(`/proc/${pid}`), false);
  assert.equal(await runtime.inspect(spec.id), undefined);
  assert.deepEqual(cgroupProcesses(readCgroupLayout(), `${env.options.cgroupParent}/conmon`), []);
});

test('says what program is missing, with Docker’s exit code', async () => {
  const spec = busyboxSpec(env.rootfs, ['/nope']);
  await assert.rejects(runtime.create(spec), {
    kind: 'invalid',
    data: { exitCode: 127 },
    message:
      'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown',
  });
  assert.equal(await runtime.inspect(spec.id), undefined);
  const readme = busyboxSpec(env.rootfs, ['/etc/passwd']);
  await assert.rejects(runtime.create(readme), { kind: 'invalid', data: { exitCode: 126 } });
});

test('passes stdin to its end', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/cat'], { openStdin: true, stdinOnce: true });
  await runtime.create(spec);
  const streams = await runtime.attach(spec.id);
  const output = collectOutput(streams);
  await runtime.start(spec.id);
  const text = 'x'.repeat(200_000);
  streams.input?.end(text);
  assert.equal((await runtime.wait(spec.id)).exitCode, 0);
  assert.equal((await output).stdout, text);
  await runtime.delete(spec.id);
});

test('sets up what Docker does by default', async () => {
  const { id, stdout } = await runToEnd([
    '/bin/sh',
    '-c',
    'id; hostname; pwd; echo $PATH; grep -E "CapEff|Seccomp:" /proc/self/status; df -k /dev/shm | tail -1; ls /proc/1/fd; cat /proc/kcore; echo x >/proc/sys/kernel/core_pattern; unshare -U true; ulimit -n',
  ]);
  console.log(stdout, readFileSync(join(env.folder, 'log', id, 'container.log'), 'utf8'));
});
