import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { State } from '../state/index.ts';
import { type AttachRequest, type Endpoint, NetworkManager, type PortBinding } from './index.ts';
import { eventually, Sandbox } from './testing/sandbox.ts';

let host: Sandbox;
let state: State;
let networks: NetworkManager;

before(async () => {
  host = await Sandbox.enter();
  state = new State(':memory:');
  networks = new NetworkManager({ state, runRoot: host.folder });
});

afterEach(async () => {
  await remove('a', 'b', 'c');
  for (const { name } of networks.list()) {
    if (!['bridge', 'host', 'none'].includes(name)) await networks.remove(name);
  }
});

after(async () => {
  await networks.shutdown();
  state.close();
  await host.leave();
});

function tcp(containerPort: number, hostPort: number, hostAddress = '0.0.0.0'): PortBinding {
  return { protocol: 'tcp', containerPort, hostPort, hostAddress };
}

async function container(
  id: string,
  network: string,
  more: Partial<AttachRequest> = {},
): Promise<Endpoint & { readonly path: string }> {
  const path = networks.createNamespace(id);
  const endpoint = await networks.attach(network, {
    containerId: id,
    namespacePath: path,
    interfaceName: 'eth0',
    names: [id],
    ports: [],
    ...more,
  });
  return { ...endpoint, path };
}

async function remove(...ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await networks.detachAll(id);
    await networks.removeNamespace(id);
  }
}

test('can run here', async () => {
  assert.deepEqual(await networks.probe(), { ok: true });
});

test('has the predefined networks, which cannot be removed', async () => {
  assert.deepEqual(
    networks.list().map(({ name, driver }) => `${name} ${driver}`),
    ['bridge bridge', 'host host', 'none null'],
  );
  assert.equal(networks.inspect('bridge').subnet, '172.17.0.0/16');
  await assert.rejects(networks.remove('bridge'), {
    kind: 'forbidden',
    message: 'bridge is a pre-defined network and cannot be removed',
  });
});

test('serves a published port to the host, loopback, neighbours, other containers and the container itself', async () => {
  const web = await container('a', 'bridge', { ports: [tcp(80, 18_081)] });
  const client = await container('b', 'bridge');
  await host.serve(web.path, 'hello');
  const gateway = networks.hostGateway();
  assert.equal(await host.fetch(`http://${web.address}/`), 'hello');
  assert.equal(await host.fetch('http://127.0.0.1:18081/'), 'hello');
  assert.equal(await host.fetch('http://198.51.100.1:18081/'), 'hello');
  assert.equal(await host.fetchInside(host.outside, 'http://198.51.100.1:18081/'), 'hello');
  assert.equal(await host.fetchInside(client.path, `http://${web.address}/`), 'hello');
  assert.equal(await host.fetchInside(client.path, `http://${gateway}:18081/`), 'hello');
  assert.equal(await host.fetchInside(web.path, `http://${gateway}:18081/`), 'hello');
  await remove('a', 'b');
  assert.match(await host.fetch('http://127.0.0.1:18081/'), /ECONNREFUSED/);
});

test('lets containers out under the address of the host', async (t) => {
  const client = await container('a', 'bridge');
  const seen: string[] = [];
  await host.serve(host.outside, 'outside', 8080);
  const server = createServer((request, response) => {
    seen.push(request.socket.remoteAddress ?? '');
    response.end('host');
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  assert.equal(await host.fetchInside(client.path, 'http://198.51.100.2:8080/'), 'outside');
  const { port } = server.address() as AddressInfo;
  assert.equal(await host.fetchInside(client.path, `http://198.51.100.1:${port}/`), 'host');
  assert.deepEqual(seen, [client.address]);
});

test('keeps unpublished ports, other networks and internal networks apart', async () => {
  await networks.create({ name: 'one' });
  await networks.create({ name: 'two', internal: true });
  const web = await container('a', 'one');
  await host.serve(web.path, 'secret');
  const other = await container('b', 'bridge');
  const inner = await container('c', 'two');
  await host.inside(host.outside, 'ip', 'route', 'add', '172.16.0.0/12', 'via', '198.51.100.1');
  await host.inside(
    inner.path,
    'ip',
    'route',
    'add',
    'default',
    'via',
    networks.inspect('two').gateway ?? '',
  );
  const answers = await Promise.all([
    ...[host.outside, other.path, inner.path].map((path) => host.fetchInside(path, `http://${web.address}/`)),
    host.fetchInside(inner.path, 'http://198.51.100.2:8080/'),
  ]);
  for (const answer of answers) assert.match(answer, /^failed/);
  assert.equal(await host.fetch(`http://${web.address}/`), 'secret');
});

test("keeps the host's loopback and a port of 127.0.0.1 from neighbours and containers", async () => {
  const web = await container('a', 'bridge', { ports: [tcp(80, 18_082, '127.0.0.1')] });
  const evil = await container('b', 'bridge');
  await host.serve(web.path, 'local');
  assert.equal(await host.fetch('http://127.0.0.1:18082/'), 'local');
  assert.match(await host.fetch('http://198.51.100.1:18082/'), /ECONNREFUSED/);
  await host.inside(host.outside, 'ip', 'route', 'add', '127.0.0.2/32', 'via', '198.51.100.1');
  for (const [path, via] of [
    [host.outside, '198.51.100.1'],
    [evil.path, networks.hostGateway()],
  ] as const) {
    // The kernel sends to 127/8 on a wire only when told so.
    await host.inside(path, 'busybox', 'sysctl', '-w', 'net.ipv4.conf.all.route_localnet=1');
    await host.inside(path, 'ip', 'route', 'add', '127.0.0.1/32', 'via', via, 'table', '7');
    await host.inside(path, 'ip', 'rule', 'add', 'pref', '0', 'to', '127.0.0.1', 'lookup', '7');
    await host.inside(path, 'ip', 'rule', 'add', 'pref', '1', 'lookup', 'local');
    await host.inside(path, 'ip', 'rule', 'del', 'pref', '0', 'lookup', 'local');
    assert.match(await host.fetchInside(path, 'http://127.0.0.1:18082/'), /^failed/);
  }
});

test('refuses a port in use by a container or by a program of the host, and leaves nothing', async () => {
  await container('a', 'bridge', { ports: [tcp(80, 18_083)] });
  await assert.rejects(container('b', 'bridge', { ports: [tcp(80, 18_084), tcp(81, 18_083)] }), {
    kind: 'conflict',
    message:
      /^driver failed programming external connectivity on endpoint b \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:18083 failed: port is already allocated$/,
  });
  assert.deepEqual(networks.endpointsOf('b'), []);
  await networks.removeNamespace('b');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(18_084, '127.0.0.1', resolve));
  await assert.rejects(container('b', 'bridge', { ports: [tcp(80, 18_084)] }), /address already in use/);
  server.close();
});

test('chooses free ports before it returns, the same for 0.0.0.0 and ::', async () => {
  const web = await container('a', 'bridge', { ports: [tcp(80, 0), tcp(80, 0, '::'), tcp(81, 0)] });
  await host.serve(web.path, 'chosen');
  const [first, second, third] = web.ports;
  assert.ok((first?.hostPort ?? 0) > 0);
  assert.equal(first?.hostPort, second?.hostPort);
  assert.notEqual(first?.hostPort, third?.hostPort);
  assert.equal(await host.fetch(`http://127.0.0.1:${first?.hostPort}/`), 'chosen');
  assert.equal(await host.fetch(`http://[::1]:${first?.hostPort}/`), 'chosen');
});

test('goes on serving a published port when another program flushed the rules', async () => {
  const web = await container('a', 'bridge', { ports: [tcp(80, 18_085)] });
  await host.serve(web.path, 'still here');
  await host.run('nft', ['flush', 'ruleset']);
  assert.equal(await host.fetch('http://127.0.0.1:18085/'), 'still here');
  const other = await container('b', 'bridge', { ports: [tcp(80, 18_086)] });
  await host.serve(other.path, 'new');
  assert.equal(await host.fetchInside(host.outside, 'http://198.51.100.1:18085/'), 'still here');
  assert.equal(await host.fetchInside(host.outside, 'http://198.51.100.1:18086/'), 'new');
});

test('resolves names, aliases and other networks of the container, and only those', async () => {
  await networks.create({ name: 'front' });
  await networks.create({ name: 'back', internal: true });
  const web = await container('a', 'front', { names: ['Web', 'www', 'shared'] });
  const client = await container('b', 'front', { names: ['client', 'shared'], dns: ['198.51.100.2'] });
  const resolve = async (path: string, name: string, type = 'a'): Promise<string> =>
    (await host.inside(path, 'timeout', '6', 'busybox', 'nslookup', `-type=${type}`, name, '127.0.0.11'))
      .output;
  assert.match(await resolve(client.path, 'web'), new RegExp(`Address: ${web.address}`));
  assert.match(await resolve(client.path, 'WWW.front'), new RegExp(`Address: ${web.address}`));
  assert.match(await resolve(client.path, 'shared'), new RegExp(web.address));
  assert.match(await resolve(client.path, 'shared'), new RegExp(client.address));
  assert.doesNotMatch(await resolve(client.path, 'web', 'aaaa'), /NXDOMAIN|SERVFAIL/);
  const reverse = `${web.address.split('.').toReversed().join('.')}.in-addr.arpa`;
  assert.match(await resolve(client.path, reverse, 'ptr'), /name = web\.front/);
  const stranger = await container('c', 'back');
  assert.match(await resolve(stranger.path, 'web'), /SERVFAIL/);
  await networks.attach('front', {
    containerId: 'c',
    namespacePath: stranger.path,
    interfaceName: 'eth1',
    names: ['c'],
    ports: [],
  });
  assert.match(await resolve(stranger.path, 'web'), new RegExp(web.address));
  networks.setNames('front', 'a', ['renamed']);
  assert.match(await resolve(stranger.path, 'renamed'), new RegExp(web.address));
});

test('keeps containers of a network without icc apart, but not from the host', async () => {
  await networks.create({ name: 'quiet', options: { 'com.docker.network.bridge.enable_icc': 'false' } });
  const web = await container('a', 'quiet', { ports: [tcp(80, 18_088)] });
  const other = await container('b', 'quiet');
  await host.serve(web.path, 'quiet');
  assert.match(await host.fetchInside(other.path, `http://${web.address}/`), /^failed/);
  assert.equal(await host.fetch('http://127.0.0.1:18088/'), 'quiet');
});

test('lets no container pass for the gateway', async () => {
  const victim = await container('a', 'bridge');
  const evil = await container('b', 'bridge');
  const gateway = networks.hostGateway();
  const ping = (): Promise<unknown> =>
    host.inside(victim.path, 'busybox', 'ping', '-c', '1', '-W', '1', gateway);
  await ping();
  await host.inside(evil.path, 'ip', 'addr', 'add', `${gateway}/32`, 'dev', 'eth0');
  // Unasked replies, one a second: the kernel takes one for a neighbour it knows (arp(7), locktime 1 s).
  await host.inside(evil.path, 'busybox', 'arping', '-c', '3', '-w', '4', '-A', '-I', 'eth0', gateway);
  const { output } = await host.inside(victim.path, 'ip', 'neigh', 'show', gateway);
  assert.match(output, /lladdr/);
  assert.ok(!output.includes(evil.macAddress), output);
});

test('leads UDP clients that go on sending to the container that has the port now', async (t) => {
  const binding: PortBinding = { ...tcp(5353, 18_089), protocol: 'udp' };
  const client = createSocket('udp4');
  t.after(() => client.close());
  const heard: string[] = [];
  client.on('message', (message) => heard.push(message.toString()));
  client.connect(18_089, '198.51.100.1');
  await once(client, 'connect');
  client.on('error', () => undefined);
  const hears = (text: string): Promise<void> =>
    eventually(() => {
      client.send('ping');
      return heard.at(-1) === text;
    }, text);
  client.send('too early');
  for (const id of ['a', 'b']) {
    const { path } = await container(id, 'bridge', { ports: [binding] });
    const server = await host.answerDatagrams(path, 5353, `from ${id}`);
    await hears(`from ${id}`);
    server.kill('SIGKILL');
    await remove(id);
  }
});

test('hands the default route on when the network that has it goes', async () => {
  await networks.create({ name: 'one' });
  const first = await container('a', 'bridge');
  const second = await networks.attach('one', {
    containerId: 'a',
    namespacePath: first.path,
    interfaceName: 'eth1',
    names: ['a'],
    ports: [],
  });
  const route = async (): Promise<string> => (await host.inside(first.path, 'ip', 'route')).output;
  assert.match(await route(), new RegExp(`default via ${first.gateway} dev eth0`));
  await networks.detach('bridge', 'a');
  assert.match(await route(), new RegExp(`default via ${second.gateway} dev eth1`));
  await assert.rejects(networks.remove('one'), {
    kind: 'forbidden',
    message:
      /^error while removing network: network one has active endpoints \(name:"a" id:"[0-9a-f]{12}"\)$/,
  });
});

test('leaves nothing behind after 50 containers', async () => {
  await container('a', 'bridge', { ports: [tcp(80, 0)] });
  await remove('a');
  const look = async (): Promise<string> => {
    const links = (await host.ip('-br link')).output.split('\n').map((line) => line.split(/[ @]/)[0]);
    return `${links.join(' ')} ${(await host.run('nft', ['list', 'ruleset'])).output}`;
  };
  const settled = async (): Promise<boolean> => !/ vv/.test(await look());
  await eventually(settled, 'the device is gone');
  const expected = await look();
  for (let cycle = 0; cycle < 50; cycle++) {
    await container('a', 'bridge', { ports: [tcp(80, 18_090), { ...tcp(53, 18_090), protocol: 'udp' }] });
    await remove('a');
  }
  await eventually(settled, 'all devices are gone');
  assert.equal(await look(), expected);
  assert.deepEqual(networks.endpoints('bridge'), []);
});
