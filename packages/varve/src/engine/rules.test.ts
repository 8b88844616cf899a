import assert from 'node:assert/strict';
import { test } from 'node:test';
import { booleanFilter, checkFilters, labelsMatch, nameMatches } from './filters.ts';
import { withoutRuntimeMade } from './filesystem.ts';
import { goFileMode } from './go-file-mode.ts';
import { nextHealth } from './health.ts';
import { completeHostConfig } from './host-config.ts';
import { parsePort, portMap, wantedPorts } from './ports.ts';
import { parseTime } from './prune-time.ts';
import { mergeSettings } from './settings.ts';
import { parseSignal } from './signals.ts';
import { parsePs } from './top.ts';

test('signals by name and number', () => {
  assert.deepEqual(['9', 'KILL', 'SIGKILL', 'sigterm', 'RTMIN+3'].map(parseSignal), [9, 9, 9, 15, 37]);
  for (const bad of ['', '0', '65', 'SIGNOPE', 'RTMAX+1', '-9']) assert.throws(() => parseSignal(bad), bad);
});

test('host configuration: defaults, and what contradicts itself', () => {
  const config = completeHostConfig({ Memory: 64 << 20, NetworkMode: 'default', ShmSize: 0 });
  assert.deepEqual(
    [config.MemorySwap, config.NetworkMode, config.ShmSize, config.RestartPolicy.Name],
    [128 << 20, 'bridge', 64 << 20, 'no'],
  );
  assert.throws(() => completeHostConfig({ Memory: 1 << 20 }), /Minimum memory limit allowed is 6MB/);
  assert.throws(() => completeHostConfig({ MemorySwap: 1 << 30 }), /always set the Memory limit/);
  assert.throws(
    () => completeHostConfig({ AutoRemove: true, RestartPolicy: { Name: 'always', MaximumRetryCount: 0 } }),
    /AutoRemove/,
  );
  assert.throws(
    () => completeHostConfig({ RestartPolicy: { Name: 'always', MaximumRetryCount: 2 } }),
    /maximum retry count/,
  );
  assert.equal(completeHostConfig({ Privileged: true }).MaskedPaths, null);
});

test('ports: both families under one number, ranges, exposed ones as null', () => {
  const config = mergeSettings({ Cmd: ['x'], ExposedPorts: { '81/udp': {} } }, {}, 'a'.repeat(64));
  const host = completeHostConfig({ PortBindings: { '80/tcp': [{ HostPort: '8000-8002' }] } });
  assert.deepEqual(
    wantedPorts(config, host).map(({ hostAddress, hostPorts }) => [hostAddress, hostPorts]),
    [
      ['0.0.0.0', [8000, 8001, 8002]],
      ['::', [8000, 8001, 8002]],
    ],
  );
  const bound = { protocol: 'tcp', containerPort: 80, hostAddress: '0.0.0.0', hostPort: 8001 } as const;
  assert.deepEqual(portMap(config, [bound]), {
    '81/udp': null,
    '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8001' }],
  });
  for (const bad of ['0', '65536', 'x', '80/icmp', '']) assert.throws(() => parsePort(bad), bad);
});

test('filters: unknown keys, labels all, names as substring or pattern', () => {
  assert.throws(() => checkFilters({ bogus: [] }, ['name']), { message: "invalid filter 'bogus'" });
  assert.ok(labelsMatch({ label: ['a', 'b=c'] }, { a: '', b: 'c' }));
  assert.ok(!labelsMatch({ label: ['a', 'b=c'] }, { a: '', b: 'd' }));
  assert.ok(!labelsMatch({ 'label!': ['a'] }, { a: '' }));
  assert.ok(nameMatches('^/web$', '/web') && nameMatches('eb', '/web') && !nameMatches('^/eb', '/web'));
  assert.throws(() => nameMatches('(', '/web'), { kind: 'invalid' });
  assert.equal(booleanFilter({ dangling: ['1'] }, 'dangling'), true);
  assert.throws(() => booleanFilter({ dangling: ['maybe'] }, 'dangling'), { kind: 'invalid' });
});

test('times: seconds, dates, durations back from now', () => {
  assert.equal(parseTime('1700000000.5'), 1_700_000_000_500);
  assert.equal(parseTime('2026-01-02T03:04:05Z'), Date.UTC(2026, 0, 2, 3, 4, 5));
  const before = Date.now();
  const tenMinutesAgo = parseTime('10m') + 600_000;
  assert.ok(before <= tenMinutesAgo && tenMinutesAgo <= Date.now());
  assert.throws(() => parseTime('yesterday'), { kind: 'invalid' });
});

test('health: a failure in the start period does not count, so many in a row make unhealthy', () => {
  const result = (ExitCode: number) => ({ Start: '', End: '', ExitCode, Output: '' });
  const starting = { Status: 'starting', FailingStreak: 0, Log: [] } as const;
  const early = nextHealth(starting, result(1), { retries: 1, inStartPeriod: true });
  assert.deepEqual([early.Status, early.FailingStreak], ['starting', 0]);
  const once = nextHealth(starting, result(1), { retries: 2, inStartPeriod: false });
  const twice = nextHealth(once, result(1), { retries: 2, inStartPeriod: false });
  assert.deepEqual([once.Status, twice.Status, twice.FailingStreak], ['starting', 'unhealthy', 2]);
  const well = nextHealth(twice, result(0), { retries: 2, inStartPeriod: false });
  assert.deepEqual([well.Status, well.FailingStreak], ['healthy', 0]);
  let many = well;
  for (let round = 0; round < 9; round++)
    many = nextHealth(many, result(0), { retries: 2, inStartPeriod: false });
  assert.equal(many.Log.length, 5);
});

test('a diff leaves the runtime’s own files out, and folders that changed for them alone', () => {
  assert.deepEqual(
    withoutRuntimeMade([
      { path: '/dev', kind: 'add' },
      { path: '/etc', kind: 'modify' },
      { path: '/etc/hosts', kind: 'add' },
      { path: '/root', kind: 'modify' },
      { path: '/root/x', kind: 'add' },
    ]),
    [
      { path: '/root', kind: 'modify' },
      { path: '/root/x', kind: 'add' },
    ],
  );
});

test('file modes as Go has them', () => {
  assert.equal(goFileMode(0o040755), 2 ** 31 + 0o755);
  assert.equal(goFileMode(0o120777), 2 ** 27 + 0o777);
  assert.equal(goFileMode(0o104755), 2 ** 23 + 0o755);
  assert.equal(goFileMode(0o041777), 2 ** 31 + 2 ** 20 + 0o777);
  assert.equal(goFileMode(0o020666), 2 ** 26 + 2 ** 21 + 0o666);
});

test('ps output is narrowed to the container; the last column keeps its spaces', () => {
  const output = 'UID PID CMD\nroot 1 init\nroot 42 sleep  100 x\n';
  assert.deepEqual(parsePs(output, new Set([42])), {
    titles: ['UID', 'PID', 'CMD'],
    processes: [['root', '42', 'sleep 100 x']],
  });
  assert.throws(() => parsePs('UID CMD\n', new Set()), /Couldn't find PID/);
});
