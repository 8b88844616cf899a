import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { randomId } from '../base/index.ts';
import { type CgroupLayout, readCgroupLayout } from '../linux/index.ts';
import { chooseRuntime } from './runtime-program.ts';
import { busyboxSpec, collectOutput, makeTestRuntime, type TestRuntime } from './testing/busybox.ts';

/*
 * crun refuses hybrid control groups, as on some machines that run these tests. There it is given a mount namespace
 * without the unified hierarchy, so that our use of it is tested all the same.
 */
let folder: string;
let env: TestRuntime;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varve-crun-'));
  const hybrid = readCgroupLayout().version === 1;
  const wrapper = join(folder, 'crun');
  writeFileSync(
    wrapper,
    hybrid
      ? '#!/bin/sh\nexec unshare -m --propagation slave /bin/sh -c \'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec /usr/bin/crun "$@"\' crun "$@"\n'
      : '#!/bin/sh\nexec /usr/bin/crun "$@"\n',
    { mode: 0o755 },
  );
  env = await makeTestRuntime({ runtime: wrapper });
});
after(async () => {
  await env[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

test('runs a container and an exec under crun', async () => {
  const { runtime } = env;
  assert.equal(runtime.name, 'crun');
  const spec = busyboxSpec(env.rootfs, ['/bin/sh', '-c', 'grep CapEff /proc/self/status; read x; exit 5'], {
    openStdin: true,
    stdinOnce: true,
    resources: { memory: 32 << 20 },
  });
  await runtime.create(spec);
  assert.equal((await runtime.inspect(spec.id))?.status, 'created');
  const streams = await runtime.attach(spec.id);
  const output = collectOutput(streams);
  await runtime.start(spec.id);
  const exec = await runtime.exec(spec.id, randomId(), {
    args: ['/bin/sh', '-c', 'echo inside; exit 9'],
    env: [],
    workingDir: '',
    user: '',
    tty: false,
    openStdin: false,
    privileged: false,
  });
  assert.equal((await collectOutput(exec.streams)).stdout, 'inside\n');
  assert.equal(await exec.exit, 9);
  await runtime.pause(spec.id);
  assert.equal((await runtime.inspect(spec.id))?.status, 'paused');
  await runtime.resume(spec.id);
  await runtime.update(spec.id, { memory: 48 << 20 });
  streams.input?.end('x\n');
  assert.equal((await runtime.wait(spec.id)).exitCode, 5);
  assert.equal((await output).stdout, 'CapEff:\t00000000a80425fb\n');
  await assert.rejects(runtime.kill(spec.id, 9), { kind: 'conflict' });
  await runtime.delete(spec.id);
  assert.equal(await runtime.inspect(spec.id), undefined);
});

test('says of a missing program what it says under runc', async () => {
  await assert.rejects(env.runtime.create(busyboxSpec(env.rootfs, ['/nope'])), {
    kind: 'invalid',
    data: { exitCode: 127 },
    message: /exec: "\/nope": stat \/nope: no such file or directory: unknown$/,
  });
});

test('prefers crun where it works, and says why not elsewhere', () => {
  const layout = (changes: Partial<CgroupLayout>): CgroupLayout => ({
    version: 1,
    controllers: new Map(),
    unified: undefined,
    unifiedControllers: [],
    ...changes,
  });
  assert.equal(chooseRuntime(layout({})).name, 'crun');
  const hybrid = chooseRuntime(layout({ unified: '/u', unifiedControllers: ['hugetlb'] }));
  assert.equal(hybrid.name, 'runc');
  assert.match(hybrid.why, /hybrid control groups \(hugetlb/);
  assert.throws(() => chooseRuntime(layout({}), 'no-such-runtime'), { code: 'NO_SUCH_PROGRAM' });
});
