import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

test('containers of a user network find each other by name and alias', async () => {
  await engine.ok('network', 'create', '--subnet', '10.77.0.0/24', '--label', 'x=y', 'net');
  await engine.ok(
    'run',
    '-d',
    '--name',
    'server',
    '--network',
    'net',
    '--network-alias',
    'db',
    'busybox',
    'sleep',
    '1000',
  );
  const out = await engine.ok(
    'run',
    '--rm',
    '--network',
    'net',
    'busybox',
    'sh',
    '-c',
    'nslookup server; nslookup db; ping -c1 -W2 server',
  );
  assert.equal(out.match(/10\.77\.0\.2/g)?.length, 3 + 1, out);
  assert.equal(await engine.inspect('server', '{{.NetworkSettings.Networks.net.IPAddress}}'), '10.77.0.2');
  await engine.fails(1, /has active endpoints/, 'network', 'rm', 'net');
  await engine.fails(1, /network with name net already exists/, 'network', 'create', 'net');
});

test('connect and disconnect a running container', async () => {
  await engine.ok('network', 'create', 'second');
  await engine.ok('network', 'connect', '--alias', 'extra', 'second', 'server');
  assert.match(await engine.ok('exec', 'server', 'ip', 'addr'), /eth1/);
  await engine.ok('run', '--rm', '--network', 'second', 'busybox', 'ping', '-c1', '-W2', 'extra');
  await engine.ok('network', 'disconnect', 'second', 'server');
  assert.doesNotMatch(await engine.ok('exec', 'server', 'ip', 'addr'), /eth1/);
  await engine.ok('network', 'rm', 'second');
});

test('none has loopback alone, host is the host, container: shares', async () => {
  assert.doesNotMatch(await engine.ok('run', '--rm', '--network', 'none', 'busybox', 'ip', 'addr'), /eth0/);
  const host = await engine.onHost('ip', '-br', 'link');
  const inside = await engine.ok('run', '--rm', '--network', 'host', 'busybox', 'ip', 'link');
  for (const line of host.stdout.trim().split('\n'))
    assert.ok(inside.includes(line.split(/[\s@]/)[0] as string));
  const address = await engine.inspect('server', '{{.NetworkSettings.Networks.net.IPAddress}}');
  assert.match(
    await engine.ok('run', '--rm', '--network', 'container:server', 'busybox', 'ip', 'addr'),
    new RegExp(address),
  );
});

test('predefined networks stay, unknown ones are told', async () => {
  await engine.fails(1, /bridge is a pre-defined network and cannot be removed/, 'network', 'rm', 'bridge');
  await engine.fails(
    125,
    /network nowhere not found/,
    'run',
    '--rm',
    '--network',
    'nowhere',
    'busybox',
    'true',
  );
  assert.deepEqual((await engine.ok('network', 'ls', '--format', '{{.Name}}')).split('\n').sort(), [
    'bridge',
    'host',
    'net',
    'none',
  ]);
});

test('an internal network does not reach the outside, and its name server knows its names', async () => {
  await engine.ok('network', 'create', '--internal', 'inner');
  const routes = await engine.ok('run', '--rm', '--network', 'inner', 'busybox', 'ip', 'route');
  assert.doesNotMatch(routes, /default/);
  await engine.ok('network', 'rm', 'inner');
});

test('a stopped container gives its address back and names follow a rename', async () => {
  await engine.ok('rename', 'server', 'renamed');
  await eventually(
    'the new name',
    async () =>
      (await engine.docker('run', '--rm', '--network', 'net', 'busybox', 'nslookup', 'renamed')).code === 0,
  );
  await engine.ok('rm', '-f', 'renamed');
  await engine.ok('network', 'prune', '-f');
  assert.doesNotMatch(await engine.ok('network', 'ls', '--format', '{{.Name}}'), /net$/m);
});
