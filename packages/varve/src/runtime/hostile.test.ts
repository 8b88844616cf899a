import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { VarveError } from '../base/index.ts';
import { busyboxSpec, collectOutput, makeTestRuntime, type TestRuntime, until } from './testing/busybox.ts';
import type { ContainerRuntime, ContainerSpec } from './types.ts';

let env: TestRuntime;
let runtime: ContainerRuntime;
before(async () => {
  env = await makeTestRuntime({ logMaxBytes: 1_000_000, logMaxFiles: 3 });
  ({ runtime } = env);
});
after(async () => {
  await env[Symbol.asyncDispose]();
});

async function runToEnd(
  args: readonly string[],
  changes: Partial<ContainerSpec> = {},
): Promise<{ stdout: string; stderr: string }> {
  const spec = busyboxSpec(env.rootfs, args, changes);
  await runtime.create(spec);
  const output = collectOutput(await runtime.attach(spec.id));
  await runtime.start(spec.id);
  await runtime.wait(spec.id);
  await runtime.delete(spec.id);
  return await output;
}

test('passes arguments and environment on as they are, without a shell', async () => {
  const odd = '$(id) `id` "\'; rm -rf / \n\t * ü';
  const { stdout } = await runToEnd(['/bin/printf', '%s', odd]);
  assert.equal(stdout, odd);
  const { stdout: variable } = await runToEnd(['/bin/sh', '-c', 'printf %s "$ODD"'], { env: [`ODD=${odd}`] });
  assert.equal(variable, odd);
});

test('gives no host folder through a working folder below /proc/self/fd (CVE-2024-21626)', async () => {
  for (let fd = 3; fd < 12; fd++) {
    const spec = busyboxSpec(env.rootfs, ['/bin/ls', '..'], { workingDir: `/proc/self/fd/${fd}` });
    try {
      await runtime.create(spec);
    } catch (error) {
      assert.ok(VarveError.is(error));
      continue;
    }
    const output = collectOutput(await runtime.attach(spec.id));
    await runtime.start(spec.id).catch(() => undefined);
    await runtime.wait(spec.id);
    await runtime.delete(spec.id);
    assert.doesNotMatch((await output).stdout, /cgroup|work/);
  }
});

test('mounts inside the root when the image has a link in the way (CVE-2021-30465)', async () => {
  const source = join(env.folder, 'evil-mount');
  mkdirSync(source);
  writeFileSync(join(source, 'marker'), 'x');
  symlinkSync('/../../../../../../etc', join(env.rootfs, 'var/escape'));
  const before = readdirSync('/etc').sort();
  const { stdout } = await runToEnd(['/bin/sh', '-c', 'ls /etc/inner'], {
    mounts: [{ source, destination: '/var/escape/inner', type: 'bind', readOnly: true, options: [] }],
  });
  assert.equal(stdout, 'marker\n');
  assert.deepEqual(readdirSync('/etc').sort(), before);
});

test('refuses an image whose /proc is a link (CVE-2019-16884)', async () => {
  const proc = join(env.rootfs, 'proc');
  rmdirSync(proc);
  mkdirSync(join(env.rootfs, 'fake'));
  symlinkSync('/fake', proc);
  try {
    await assert.rejects(runtime.create(busyboxSpec(env.rootfs, ['/bin/true'])), (error) =>
      VarveError.is(error),
    );
  } finally {
    renameSync(proc, join(env.rootfs, 'proc-link'));
    mkdirSync(proc);
  }
});

test('holds a fork bomb to its limit', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/sh', '-c', 'while true; do sleep 60 & done'], {
    resources: { pidsLimit: 20 },
  });
  await runtime.create(spec);
  await runtime.start(spec.id);
  const log = join(env.folder, 'log', spec.id, 'container.log');
  await until('the limit to be hit', () => readFileSync(log, 'utf8').includes("can't fork"));
  assert.ok((await runtime.processes(spec.id)).length <= 20);
  await runtime.delete(spec.id);
});

test('delivers an endless line, and reads its log in bounded pieces', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/sh', '-c', 'head -c 3000000 /dev/zero']);
  await runtime.create(spec);
  await runtime.start(spec.id);
  await runtime.wait(spec.id);
  let size = 0;
  for await (const line of runtime.logs(spec.id, {})) {
    size += line.data.length;
    assert.ok(line.data.length < 1_100_000);
  }
  assert.ok(size <= 3_000_000 && size > 900_000);
  await runtime.delete(spec.id);
});

test('bounds the log of a container that floods it', async () => {
  const spec = busyboxSpec(env.rootfs, ['/bin/yes', 'x'.repeat(200)]);
  await runtime.create(spec);
  await runtime.start(spec.id);
  const folder = join(env.folder, 'log', spec.id);
  await until('the oldest file to be dropped', () => {
    const first = join(folder, 'container.log.2');
    return existsSync(first) && readFileSync(first).length > 0;
  });
  assert.ok(readdirSync(folder).length <= 3);
  await runtime.delete(spec.id);
});

test('takes no more stdin than the container reads, and goes on with its output', async () => {
  const spec = busyboxSpec(
    env.rootfs,
    ['/bin/sh', '-c', 'i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.02; done'],
    {
      openStdin: true,
    },
  );
  await runtime.create(spec);
  const streams = await runtime.attach(spec.id);
  await runtime.start(spec.id);
  const { input } = streams;
  assert.ok(input);
  let written = 0;
  const flood = (): void => {
    input.write(Buffer.alloc(64 * 1024), (error) => {
      if (error) return;
      written += 64 * 1024;
      if (written < 50_000_000) flood();
    });
  };
  flood();
  let ticks = 0;
  let stuckAt = -1;
  for await (const { data } of streams.output) {
    ticks += data.toString().split('tick').length - 1;
    // Twenty ticks without a further write: the flood is held back.
    if (ticks % 20 === 0) {
      if (stuckAt === written && ticks > 60) break;
      stuckAt = written;
    }
  }
  assert.ok(written < 5_000_000, `${written} bytes taken`);
  await runtime.delete(spec.id);
});

test('lets no container take the name of another’s files', async () => {
  for (const id of ['..', '.', 'a/b', '', '-x', 'a\0b', 'x'.repeat(200)]) {
    const spec = { ...busyboxSpec(env.rootfs, ['/bin/true']), id };
    await assert.rejects(runtime.create(spec), { code: 'INVALID_ID' }, JSON.stringify(id));
  }
});
