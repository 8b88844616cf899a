import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TestEngine } from '../engine/harness.ts';
import { engineCall, type HttpAnswer } from '../support/engine-http.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

function post(path: string, document: unknown): Promise<HttpAnswer> {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  return engineCall(engine.socket, 'POST', `/v1.45${path}`, Buffer.from(text), 'application/json');
}

const host = (settings: unknown): unknown => ({ Image: 'busybox', HostConfig: settings });
const own = (settings: object): unknown => ({ Image: 'busybox', ...settings });
const mount = (settings: object): unknown => host({ Mounts: [{ Target: '/t', ...settings }] });
const endpoint = (settings: object): unknown =>
  own({ NetworkingConfig: { EndpointsConfig: { bridge: settings } } });

const refused: readonly (readonly [document: unknown, says: RegExp])[] = [
  [host({ Memory: -1 }), /Minimum memory limit allowed is 6MB/],
  [host({ Memory: 1024 }), /Minimum memory limit allowed is 6MB/],
  [host({ Memory: 1.5 }), /HostConfig\.Memory/],
  [host({ Memory: '1g' }), /HostConfig\.Memory/],
  ['{"Image":"busybox","HostConfig":{"Memory":9223372036854775808}}', /HostConfig\.Memory/],
  ['{"Image":"busybox","HostConfig":{"Memory":NaN}}', /invalid JSON/],
  ['{"Image":"busybox","HostConfig":{"Memory":1e400}}', /HostConfig\.Memory/],
  [host({ Memory: 1e8, MemorySwap: -2 }), /swap/],
  [host({ MemoryReservation: 1000 }), /Minimum memory reservation allowed is 6MB/],
  [host({ MemorySwappiness: 101 }), /valid memory swappiness range is 0-100/],
  [host({ NanoCpus: -1 }), /range of CPUs is from 0\.01/],
  [host({ NanoCpus: 9e15 }), /range of CPUs is from 0\.01/],
  [host({ CpuPeriod: 1 }), /CPU cfs period can not be less than 1ms/],
  [host({ CpuPeriod: -1 }), /CPU cfs period can not be less than 1ms/],
  [host({ CpuQuota: 1 }), /CPU cfs quota can not be less than 1ms/],
  [host({ CpuShares: -1 }), /CPU shares/],
  [host({ CpusetCpus: '$(id)' }), /Invalid value \$\(id\) for cpuset cpus/],
  [host({ CpusetMems: '0-' }), /Invalid value 0- for cpuset mems/],
  [host({ OomScoreAdj: 2000 }), /range for oom score adj/],
  [host({ ShmSize: -1 }), /SHM size/],
  [host({ Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 5 }] }), /soft limit must be less/],
  [host({ Ulimits: [{ Name: 'bogus', Soft: 1, Hard: 1 }] }), /invalid ulimit type: bogus/],
  [host({ Ulimits: [{ Name: 'nofile', Soft: 1.5, Hard: 2 }] }), /Ulimits\.0\.Soft/],
  [host({ CapAdd: ['FOO'] }), /unknown capability: \\"CAP_FOO\\"/],
  [host({ SecurityOpt: ['seccomp=/etc/shadow'] }), /Decoding seccomp profile failed/],
  [host({ SecurityOpt: ['bogus=1'] }), /invalid --security-opt/],
  [host({ IpcMode: 'x' }), /invalid IPC mode: x/],
  [host({ PidMode: 'hosts' }), /invalid PID mode: hosts/],
  [host({ UTSMode: 'x' }), /invalid UTS mode: x/],
  [host({ UsernsMode: 'x' }), /invalid user namespace mode: x/],
  [host({ CgroupnsMode: 'x' }), /invalid cgroup namespace mode: x/],
  [host({ Tmpfs: { '/x': 'rbind' } }), /invalid tmpfs option/],
  [host({ Tmpfs: { '/x': 'size=1g;rm' } }), /invalid tmpfs option/],
  [host({ Dns: ['x\nnameserver 6.6.6.6'] }), /invalid IP address/],
  [host({ DnsSearch: ['a\nnameserver 6.6.6.6'] }), /invalid DNS setting/],
  [host({ ExtraHosts: ['a:1.2.3.4\n6.6.6.6 b'] }), /bad format for add-host/],
  [
    host({ LogConfig: { Type: 'json-file', Config: { bogus: '1' } } }),
    /unknown log opt 'bogus' for json-file/,
  ],
  [host({ LogConfig: { Type: 'json-file', Config: { 'max-size': '$(id)' } } }), /invalid size/],
  [host({ StorageOpt: { bogus: '1' } }), /unknown storage option/],
  [host({ Binds: ['/tmp:/t:rshared,dev,suid'] }), /invalid mode/],
  [host({ Binds: ['/tmp/a\0b:/t'] }), /NUL/],
  [host({ Binds: ['/tmp:/a\0b'] }), /NUL/],
  [host({ Binds: ['../../etc:/t'] }), /invalid characters for a local volume name/],
  [host({ Binds: ['.:/t'] }), /invalid characters|too short/],
  [host({ Binds: [`${'v'.repeat(256)}:/t`] }), /invalid characters/],
  [mount({ Type: 'bind', Source: '/tmp', BindOptions: { Propagation: 'rshared,dev' } }), /propagation/],
  [mount({ Type: 'tmpfs', TmpfsOptions: { SizeBytes: -1 } }), /size must not be negative/],
  [mount({ Type: 'volume', Source: 'half', VolumeOptions: { Subpath: '../x' } }), /relative path within/],
  [mount({ Type: 'volume', Source: 'half', VolumeOptions: { Subpath: '/etc' } }), /relative path within/],
  [
    mount({
      Type: 'volume',
      Source: 'half',
      VolumeOptions: { DriverConfig: { Name: 'local', Options: { device: '/x', bogus: '1' } } },
    }),
    /invalid option/,
  ],
  [own({ Hostname: 'a\n6.6.6.6 b' }), /invalid hostname/],
  [own({ User: 'a\0' }), /invalid user/],
  [own({ WorkingDir: 'relative' }), /needs to be an absolute path/],
  [own({ WorkingDir: '/a\0' }), /invalid working directory/],
  [own({ Env: ['A=\0b'] }), /NUL/],
  [own({ Env: ['=x'] }), /invalid environment variable: =x/],
  [own({ Cmd: ['echo', 'a\0b'] }), /NUL/],
  [own({ MacAddress: 'x; reboot' }), /invalid MAC address/],
  [endpoint({ MacAddress: 'zz' }), /invalid MAC address/],
  [own({ StopSignal: 'SIGFOO' }), /invalid signal: SIGFOO/],
  [own({ StopTimeout: 1.5 }), /StopTimeout/],
  [own({ Healthcheck: { Test: ['CMD', 'x'], Interval: -1 } }), /Interval in Healthcheck/],
  [own({ Healthcheck: { Test: ['CMD', 'x'], Timeout: 1e300 } }), /Healthcheck\.Timeout/],
  [own({ ExposedPorts: { '1-99999/tcp': {} } }), /invalid port/],
  [host({ PortBindings: { '80/tcp': [{ HostPort: '99999' }] } }), /invalid host port/],
  [host({ PortBindings: { '80/tcp': [{ HostIp: 'a;b', HostPort: '1' }] } }), /invalid IP address/],
  [host(5), /HostConfig/],
  [own({ NetworkingConfig: 5 }), /NetworkingConfig/],
  ['[]', /expected an object/],
  [`${'{"a":'.repeat(300_000)}1${'}'.repeat(300_000)}`, /exceeded max depth/],
  ['['.repeat(1_000_000), /exceeded max depth/],
];

test('values that cannot be are refused when a container is made, and nothing is left of it', async () => {
  for (const [document, says] of refused) {
    const answer = await post('/containers/create', document);
    const what = (typeof document === 'string' ? document : JSON.stringify(document)).slice(0, 200);
    assert.equal(answer.status, 400, `${what}: ${answer.body}`);
    assert.match(answer.body, says, what);
    assert.doesNotMatch(answer.body, /node:|\.ts:|TypeError|RangeError/, what);
  }
  assert.equal(await engine.ok('ps', '-aq'), '');
  assert.equal(await engine.ok('volume', 'ls', '-q'), '');
});

test('update refuses the same and changes nothing', async () => {
  await engine.ok('create', '--name', 'steady', 'busybox');
  for (const change of [
    { Memory: -1 },
    { NanoCpus: -1 },
    { CpuPeriod: 1 },
    { CpusetCpus: 'x' },
    { MemorySwappiness: 101 },
    { Memory: '1g' },
    { RestartPolicy: { Name: 'x' } },
  ]) {
    const answer = await post('/containers/steady/update', change);
    assert.equal(answer.status, 400, `${JSON.stringify(change)}: ${answer.body}`);
  }
  assert.equal(await engine.inspect('steady', '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}'), '0 0');
  await engine.ok('rm', 'steady');
});

test('networks and volumes of hostile names and options are refused', async () => {
  const wrong: readonly (readonly [string, unknown])[] = [
    ['/volumes/create', { Name: '../../etc' }],
    ['/volumes/create', { Name: '.' }],
    ['/volumes/create', { Name: 'v'.repeat(256) }],
    ['/volumes/create', { Name: 'a\nb' }],
    [
      '/volumes/create',
      { Name: 'vol', DriverOpts: { type: 'ext4', device: '/dev/nope', o: 'x', extra: ';rm' } },
    ],
    ['/volumes/create', { Name: 'vol', DriverOpts: { o: 'bind' } }],
    ['/volumes/create', { Name: 'vol', Labels: { a: 1 } }],
    ['/networks/create', { Name: '' }],
    ['/networks/create', { Name: 'a\nb' }],
    ['/networks/create', { Name: 'n', IPAM: { Config: [{ Subnet: '999.1.0.0/16' }] } }],
    ['/networks/create', { Name: 'n', IPAM: { Config: [{ Subnet: '10.0.0.0/33' }] } }],
    ['/networks/create', { Name: 'n', Options: { 'com.docker.network.bridge.name': 'a; add rule' } }],
    ['/networks/create', { Name: 'n', Options: { 'com.docker.network.driver.mtu': 'x' } }],
  ];
  for (const [path, document] of wrong) {
    const answer = await post(path, document);
    assert.equal(answer.status, 400, `${path} ${JSON.stringify(document)}: ${answer.status} ${answer.body}`);
  }
  assert.equal(await engine.ok('volume', 'ls', '-q'), '');
  assert.equal(await engine.ok('network', 'ls', '-q', '--filter', 'type=custom'), '');
});

test('labels, variables and arguments are kept to the letter and reach no shell', async () => {
  const nasty = '$(touch /pwned) `id` ; rm -rf / \n"\'\\ \u{1F4A3}';
  const long = 'x'.repeat(1 << 20);
  const { body, status } = await post('/containers/create?name=verbatim', {
    Image: 'busybox',
    Cmd: ['printf', '%s', nasty],
    Env: [`NASTY=${nasty}`],
    Labels: { [nasty]: nasty, long, __proto__x: 'y' },
  });
  assert.equal(status, 201, body);
  assert.equal(JSON.parse(await engine.inspect('verbatim', '{{json .Config.Labels}}'))[nasty], nasty);
  assert.equal(JSON.parse(await engine.inspect('verbatim', '{{json .Config.Labels}}')).long, long);
  const run = await engine.docker('start', '-a', 'verbatim');
  assert.deepEqual([run.code, run.stdout], [0, nasty]);
  await engine.ok('rm', 'verbatim');
});
