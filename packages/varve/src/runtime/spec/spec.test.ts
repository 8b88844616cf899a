import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capabilityNames } from '../../linux/index.ts';
import { busyboxSpec } from '../testing/busybox.ts';
import type { RuntimeMount } from '../types.ts';
import { mergeEnvironment } from './build-spec.ts';
import { defaultCapabilities, resolveCapabilities } from './capabilities.ts';
import { buildDevices } from './devices.ts';
import { encodeSpec } from './encode.ts';
import { buildMounts, rootPropagation } from './mounts.ts';
import type { OciProcess } from './oci-spec.ts';
import { buildResources } from './resources.ts';
import { buildRlimits } from './rlimits.ts';
import { defaultSeccomp, parseSeccompProfile } from './seccomp.ts';
import { parseSecurityOptions } from './security-options.ts';

const capabilities = (add: string[], drop: string[], privileged = false): readonly string[] =>
  resolveCapabilities({
    add,
    drop,
    privileged,
    available: capabilityNames.filter((name) => name !== 'CAP_SYS_RESOURCE'),
  });

test('adds and drops capabilities in Docker’s order', () => {
  assert.deepEqual(capabilities([], []), defaultCapabilities);
  assert.deepEqual(capabilities(['net_admin'], ['CAP_CHOWN', 'kill']), [
    ...defaultCapabilities.filter((name) => name !== 'CAP_CHOWN' && name !== 'CAP_KILL'),
    'CAP_NET_ADMIN',
  ]);
  assert.deepEqual(capabilities(['CHOWN'], ['ALL']), ['CAP_CHOWN']);
  const all = capabilities(['ALL'], ['SYS_ADMIN']);
  assert.ok(all.includes('CAP_SYS_BOOT') && !all.includes('CAP_SYS_ADMIN'));
  // What the engine itself lacks cannot be given: the kernel would refuse the whole set.
  assert.equal(capabilities([], [], true).length, capabilityNames.length - 1);
  assert.ok(!all.includes('CAP_SYS_RESOURCE'));
});

test('names the capability that is wrong', () => {
  assert.throws(() => capabilities(['foo'], []), {
    kind: 'invalid',
    message: 'unknown capability: "CAP_FOO"',
  });
  assert.throws(() => capabilities([], ['b ar']), { message: 'unknown capability: "CAP_B AR"' });
  assert.throws(() => capabilities(['SYS_RESOURCE'], []), {
    message:
      'capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"',
  });
});

test('reads security options and refuses others', () => {
  assert.deepEqual(parseSecurityOptions(['no-new-privileges', 'seccomp=unconfined', 'label=disable']), {
    noNewPrivileges: true,
    seccomp: 'unconfined',
    apparmor: undefined,
    labels: ['disable'],
    writableCgroups: false,
  });
  assert.equal(parseSecurityOptions(['no-new-privileges:false']).noNewPrivileges, false);
  assert.equal(parseSecurityOptions(['apparmor:unconfined']).apparmor, 'unconfined');
  assert.throws(() => parseSecurityOptions(['foo']), { message: 'invalid --security-opt 1: "foo"' });
  assert.throws(() => parseSecurityOptions(['foo=bar']), { message: 'invalid --security-opt 2: "foo=bar"' });
  assert.throws(() => parseSecurityOptions(['no-new-privileges=maybe']), { kind: 'invalid' });
});

const clipped = { mayRaise: false, hardLimit: (): number => 20_000 };

test('never asks for a limit above the engine’s own', () => {
  assert.deepEqual(buildRlimits([], clipped), [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 20_000 }]);
  assert.deepEqual(buildRlimits([{ name: 'nofile', soft: 30_000, hard: 40_000 }], clipped), [
    { type: 'RLIMIT_NOFILE', soft: 20_000, hard: 20_000 },
  ]);
  assert.deepEqual(buildRlimits([{ name: 'core', soft: -1, hard: -1 }], { ...clipped, mayRaise: true })[1], {
    type: 'RLIMIT_CORE',
    soft: Number.POSITIVE_INFINITY,
    hard: Number.POSITIVE_INFINITY,
  });
  assert.throws(() => buildRlimits([{ name: 'bogus', soft: 1, hard: 1 }], clipped), {
    message: 'invalid ulimit type: bogus',
  });
  assert.throws(() => buildRlimits([{ name: 'nofile', soft: 9, hard: 3 }], clipped), {
    message: 'ulimit soft limit must be less than or equal to hard limit: 9 > 3',
  });
});

test('writes an unlimited limit as the runtime spec’s 64-bit number', () => {
  const process = { rlimits: [{ type: 'RLIMIT_CORE', soft: Number.POSITIVE_INFINITY, hard: 5 }] };
  assert.equal(
    encodeSpec(process as unknown as OciProcess),
    '{"rlimits":[{"type":"RLIMIT_CORE","soft":18446744073709551615,"hard":5}]}',
  );
});

test('turns Docker’s resources into OCI ones', () => {
  const build = (resources: object): unknown => buildResources(resources, { swapAccounting: true });
  assert.deepEqual(build({}), {});
  assert.deepEqual(build({ memory: 100 }), { memory: { limit: 100, swap: 200 } });
  assert.deepEqual(build({ memory: 100, memorySwap: -1 }), { memory: { limit: 100, swap: -1 } });
  assert.deepEqual(buildResources({ memory: 100 }, { swapAccounting: false }), { memory: { limit: 100 } });
  assert.deepEqual(build({ nanoCpus: 1_500_000_000, cpusetCpus: '0-1' }), {
    cpu: { period: 100_000, quota: 150_000, cpus: '0-1' },
  });
  assert.deepEqual(build({ pidsLimit: -1 }), {});
  assert.deepEqual(build({ pidsLimit: 5 }), { pids: { limit: 5 } });
  assert.deepEqual(build({ pidsLimit: 0, cpuShares: 0, memory: 0 }), {});
});

const bind = (destination: string, changes: Partial<RuntimeMount> = {}): RuntimeMount => ({
  source: '/src',
  destination,
  type: 'bind',
  readOnly: false,
  options: [],
  ...changes,
});

test('lets a mount of the user’s replace ours and sorts the rest by depth', () => {
  const mounts = buildMounts(
    busyboxSpec('/', [], { mounts: [bind('/a/b/c'), bind('/dev/shm'), bind('/a')] }),
  );
  assert.equal(mounts.filter((mount) => mount.destination === '/dev/shm').length, 1);
  const places = mounts.map((mount) => mount.destination);
  assert.ok(places.indexOf('/a') < places.indexOf('/a/b/c'));
  assert.ok(places.indexOf('/dev') < places.indexOf('/dev/shm'));
  const own = buildMounts(busyboxSpec('/', [], { mounts: [bind('/dev')] }));
  assert.deepEqual(
    own.filter((mount) => mount.destination.startsWith('/dev')).map((mount) => mount.type),
    ['bind'],
  );
});

test('gives mounts Docker’s options', () => {
  const [plain, shared, tmpfs] = buildMounts(
    busyboxSpec('/', [], {
      mounts: [
        bind('/a', { readOnly: true }),
        bind('/b', { options: ['rshared', 'z'] }),
        bind('/c', { type: 'tmpfs', options: ['exec', 'size=1m'] }),
      ],
    }),
  ).slice(-3);
  assert.deepEqual(plain?.options, ['rbind', 'rprivate', 'ro']);
  assert.deepEqual(shared?.options, ['rbind', 'rshared', 'rw']);
  assert.deepEqual(tmpfs?.options, ['nosuid', 'nodev', 'exec', 'size=1m', 'rw']);
  assert.equal(rootPropagation(plain ? [plain] : []), undefined);
  assert.equal(rootPropagation(shared ? [shared] : []), 'rshared');
});

test('refuses devices that are none', () => {
  const devices = (host: string, permissions = 'rwm'): unknown =>
    buildDevices(busyboxSpec('/', [], { devices: [{ host, container: '/dev/x', permissions }] }));
  assert.throws(() => devices('/dev/no-such-device'), {
    message:
      'error gathering device information while adding custom device "/dev/no-such-device": no such file or directory',
  });
  assert.throws(() => devices('/etc/hostname'), { code: 'NOT_A_DEVICE' });
  assert.throws(() => devices('/dev/null', 'rx'), { message: 'invalid device mode: rx' });
});

test('filters calls by what the container may do anyway', () => {
  const names = (held: readonly string[]): Set<string> =>
    new Set(
      defaultSeccomp(held)
        .syscalls.filter((rule) => rule.action === 'SCMP_ACT_ALLOW' && rule.args === undefined)
        .flatMap((rule) => rule.names),
    );
  const usual = names(defaultCapabilities);
  for (const call of [
    'mount',
    'unshare',
    'setns',
    'bpf',
    'reboot',
    'init_module',
    'clone3',
    'io_uring_setup',
    'keyctl',
    'userfaultfd',
  ]) {
    assert.ok(!usual.has(call), call);
  }
  for (const call of ['openat2', 'execve', 'chroot', 'futex', 'ptrace', 'statx', 'fchmodat2'])
    assert.ok(usual.has(call), call);
  const admin = names([...defaultCapabilities, 'CAP_SYS_ADMIN']);
  for (const call of ['mount', 'unshare', 'clone', 'clone3']) assert.ok(admin.has(call), call);
});

test('names no call twice and none in vain', () => {
  const rules = defaultSeccomp(defaultCapabilities).syscalls.filter((rule) => rule.args === undefined);
  const all = rules.flatMap((rule) => rule.names);
  assert.equal(new Set(all).size, all.length);
  assert.ok(all.length > 360, String(all.length));
});

test('reads a profile of Docker’s format for this machine', () => {
  const profile = JSON.stringify({
    defaultAction: 'SCMP_ACT_ERRNO',
    archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
    syscalls: [
      { names: ['read'], action: 'SCMP_ACT_ALLOW' },
      { name: 'write', action: 'SCMP_ACT_ALLOW', args: null, includes: {}, excludes: {} },
      { names: ['mount'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38, excludes: { caps: ['CAP_SYS_ADMIN'] } },
      { names: ['future'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '99.0' } },
      { names: ['elsewhere'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['s390x'] } },
    ],
  });
  const calls = (held: string[]): string[] =>
    parseSeccompProfile(profile, held).syscalls.flatMap((rule) => [...rule.names]);
  assert.deepEqual(calls([]), ['read', 'write', 'clone3']);
  assert.deepEqual(calls(['CAP_SYS_ADMIN']), ['read', 'write', 'mount']);
  assert.throws(() => parseSeccompProfile('{', []), { kind: 'invalid', code: 'INVALID_SECCOMP' });
  assert.throws(() => parseSeccompProfile('{"syscalls":[]}', []), { code: 'INVALID_SECCOMP' });
});

test('merges an exec’s environment over the container’s', () => {
  assert.deepEqual(mergeEnvironment(['A=1', 'B=2', 'C=3'], ['B=x=y', 'C', 'D=']), ['A=1', 'B=x=y', 'D=']);
});
