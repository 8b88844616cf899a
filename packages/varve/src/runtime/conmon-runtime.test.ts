import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cgroupProcesses, identifyProcess, readCgroupLayout } from '../linux/index.ts';
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

test('gives a process what Docker gives it by default', async () => {
  const { id, stdout, stderr } = await runToEnd(
    [
      '/bin/sh',
      '-c',
      `id; hostname; pwd; echo $PATH; echo $HOSTNAME; grep -E "CapEff|Seccomp:" /proc/self/status
       df -k /dev/shm | tail -1 | tr -s " "; ulimit -n
       echo x >/proc/sys/kernel/core_pattern; unshare -U true; mount -t tmpfs none /tmp; mknod /tmp/d b 8 0 && cat /tmp/d`,
    ],
    { hostname: 'box' },
  );
  await runtime.delete(id);
  assert.deepEqual(stdout.trim().split('\n'), [
    'uid=0(root) gid=0(root) groups=0(root)',
    'box',
    '/',
    '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'box',
    'CapEff:\t00000000a80425fb',
    'Seccomp:\t2',
    'shm 65536 0 65536 0% /dev/shm',
    '1024',
  ]);
  assert.match(stderr, /core_pattern: Read-only file system/);
  assert.match(stderr, /unshare.*Operation not permitted/);
  assert.match(stderr, /mount: permission denied/);
  assert.match(stderr, /cat: can't open '\/tmp\/d': Operation not permitted/);
});

test('runs as a user of the image with its groups, or as a bare number', async () => {
  const ann = await runToEnd(['/bin/id'], { user: 'ann', groups: ['audio', '77'] });
  assert.equal(ann.stdout, 'uid=1000(ann) gid=1000(ann) groups=10(wheel),29(audio),77,1000(ann)\n');
  const bare = await runToEnd(['/bin/id'], { user: '4711:10' });
  assert.equal(bare.stdout, 'uid=4711 gid=10(wheel) groups=10(wheel)\n');
});

test('reaps with an init of its own when asked', async () => {
  const { stdout } = await runToEnd(['/bin/sh', '-c', 'cat /proc/1/cmdline | tr "\\0" " "'], { init: true });
  assert.equal(stdout, '/sbin/docker-init -- /bin/sh -c cat /proc/1/cmdline | tr "\\0" " " ');
});

test('mounts what it is told to, and a root that cannot be written', async () => {
  const source = join(env.folder, 'volume');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), 'content\n');
  const { stdout, stderr } = await runToEnd(
    [
      '/bin/sh',
      '-c',
      'cat /data/file; touch /data/new; touch /ro/x; touch /x; touch /scratch/y && ls /scratch; grep /scratch /proc/mounts',
    ],
    {
      readOnlyRootfs: true,
      mounts: [
        { source, destination: '/data', type: 'bind', readOnly: false, options: [] },
        { source, destination: '/ro', type: 'bind', readOnly: true, options: ['rprivate'] },
        {
          source: '',
          destination: '/scratch',
          type: 'tmpfs',
          readOnly: false,
          options: ['size=64k', 'mode=1777'],
        },
      ],
    },
  );
  assert.match(stdout, /^content\ny\ntmpfs \/scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=64k 0 0\n$/);
  assert.deepEqual(stderr.trim().split('\n'), [
    'touch: /ro/x: Read-only file system',
    'touch: /x: Read-only file system',
  ]);
  assert.deepEqual(readdirSync(source).sort(), ['file', 'new']);
});

test('gives a privileged container all that the engine has', async () => {
  const { stdout, exitCode } = await runToEnd(
    [
      '/bin/sh',
      '-c',
      'grep -E "Seccomp:" /proc/self/status; mount -t tmpfs none /tmp && echo mounted; ls /dev | wc -l',
    ],
    { privileged: true },
  );
  assert.equal(exitCode, 0);
  assert.match(stdout, /^Seccomp:\t0\nmounted\n/);
  assert.ok(Number(stdout.trim().split('\n').at(-1)) > 20);
});

test('adds and drops capabilities, sets sysctls, limits and no-new-privileges', async () => {
  const { stdout } = await runToEnd(
    [
      '/bin/sh',
      '-c',
      'grep -E "CapEff|NoNewPrivs" /proc/self/status; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; ulimit -n; ulimit -c',
    ],
    {
      capDrop: ['ALL'],
      capAdd: ['chown', 'CAP_KILL'],
      securityOpt: ['no-new-privileges'],
      sysctls: { 'net.ipv4.ip_forward': '1', 'kernel.msgmax': '9000' },
      ulimits: [
        { name: 'nofile', soft: 500, hard: 600 },
        { name: 'core', soft: -1, hard: -1 },
      ],
    },
  );
  assert.deepEqual(stdout.trim().split('\n'), [
    'CapEff:\t0000000000000021',
    'NoNewPrivs:\t1',
    '1',
    '9000',
    '500',
    'unlimited',
  ]);
});

test('runs without a filter, and with a profile of the user’s', async () => {
  const free = await runToEnd(['/bin/unshare', '-U', 'true'], { securityOpt: ['seccomp=unconfined'] });
  assert.equal(free.exitCode, 0);
  const profile = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
  };
  const own = await runToEnd(['/bin/mkdir', '/tmp/x'], {
    securityOpt: [`seccomp=${JSON.stringify(profile)}`],
  });
  assert.match(own.stderr, /Permission denied/);
});

test('gives a device that was asked for, with no more than its permissions', async () => {
  const { stdout, stderr } = await runToEnd(
    ['/bin/sh', '-c', 'ls -l /dev/mine | cut -c1; head -c0 /dev/mine && echo opened; echo x >/dev/mine'],
    { devices: [{ host: '/dev/loop0', container: '/dev/mine', permissions: 'r' }] },
  );
  assert.equal(stdout, 'b\nopened\n');
  assert.match(stderr, /can't create \/dev\/mine: Operation not permitted/);
});

test('joins namespaces of another container', async () => {
  const first = busyboxSpec(env.rootfs, ['/bin/sleep', '600'], { hostname: 'first' });
  const { pid } = await runtime.create(first);
  await runtime.start(first.id);
  const { stdout } = await runToEnd(['/bin/sh', '-c', 'hostname; ps | grep -c "[s]leep 600"'], {
    namespaces: { uts: `/proc/${pid}/ns/uts`, pid: `/proc/${pid}/ns/pid`, network: `/proc/${pid}/ns/net` },
  });
  assert.equal(stdout, 'first\n1\n');
  await runtime.delete(first.id);
});

test('kills what a container without a pid namespace of its own leaves', async () => {
  const { id } = await runToEnd(['/bin/sh', '-c', 'setsid sleep 6123 & exit 0'], {
    namespaces: { pid: 'host' },
  });
  const [pid] = await runtime.processes(id);
  assert.ok(pid !== undefined);
  await runtime.delete(id);
  assert.equal(identifyProcess(pid), undefined);
});
