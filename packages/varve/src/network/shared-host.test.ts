import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { State } from '../state/index.ts';
import { NetworkManager } from './index.ts';
import { Sandbox } from './testing/sandbox.ts';

let host: Sandbox;

before(async () => {
  host = await Sandbox.enter();
});

after(async () => {
  await host.leave();
});

function engine(name: string): { networks: NetworkManager; root: string } {
  const root = join(host.folder, name);
  mkdirSync(root);
  return { networks: new NetworkManager({ state: new State(':memory:'), runRoot: root }), root };
}

async function container(
  networks: NetworkManager,
  id: string,
  hostPort?: number,
  network = 'bridge',
): Promise<string> {
  const path = networks.createNamespace(id);
  await networks.attach(network, {
    containerId: id,
    namespacePath: path,
    interfaceName: 'eth0',
    names: [id],
    ports:
      hostPort === undefined
        ? []
        : [{ protocol: 'tcp', containerPort: 80, hostPort, hostAddress: '0.0.0.0' }],
  });
  return path;
}

const hostState = async (): Promise<string> =>
  `${(await host.ip('-o link')).output.replace(/^\d+: (wire|lo).*\n/gm, '')}${(await host.run('nft', ['list', 'tables'])).output}`;

test('two engines serve their containers side by side and leave the host as it was', async () => {
  const one = engine('one');
  const a = await container(one.networks, 'a', 8001);
  const two = engine('two');
  const b = await container(two.networks, 'b', 8002);
  await host.serve(a, 'one');
  await host.serve(b, 'two');
  assert.equal(await host.fetchInside(host.outside, 'http://198.51.100.1:8001/'), 'one');
  assert.equal(await host.fetchInside(host.outside, 'http://198.51.100.1:8002/'), 'two');
  assert.equal(await host.fetchInside(a, 'http://198.51.100.1:8002/'), 'two');
  await assert.rejects(
    container(two.networks, 'c', 8001),
    /failed to bind host port for 0\.0\.0\.0:8001\/tcp: address already in use/,
  );
  await two.networks.removeNamespace('c');
  await one.networks.restore([]);
  await one.networks.shutdown();
  assert.equal(await host.fetchInside(host.outside, 'http://198.51.100.1:8002/'), 'two');
  assert.deepEqual(await two.networks.restore(['b']), []);
  await two.networks.detachAll('b');
  await two.networks.removeNamespace('b');
  await two.networks.shutdown();
  assert.equal(await hostState(), '');
});

test('clears what an engine left whose folder was deleted, and nothing else', async () => {
  const dead = engine('dead');
  await dead.networks.create({ name: 'app' });
  const path = await container(dead.networks, 'a', 8001, 'app');
  await host.serve(path, 'dead');
  await host.run('nft', ['add', 'table', 'ip', 'varve_mine']);
  await host.ip('link add br-mine type bridge');
  // Not shut down: its ports are closed and its folder removed, as after a kill and an rm.
  await container(dead.networks, 'b', undefined, 'app');
  rmSync(join(dead.root, 'network'), { recursive: true });
  const next = engine('next');
  await container(next.networks, 'c', 8003);
  const left = await hostState();
  assert.equal((left.match(/: br-/g) ?? []).length, 1, left);
  assert.match(left, /br-mine/);
  assert.equal((left.match(/table ip /g) ?? []).length, 2, left);
  assert.match(left, /varve_mine/);
  await next.networks.detachAll('c');
  await next.networks.removeNamespace('c');
  await next.networks.shutdown();
  for (const id of ['a', 'b']) {
    await dead.networks.detachAll(id);
    await dead.networks.removeNamespace(id);
  }
  mkdirSync(join(dead.root, 'network'));
  await dead.networks.shutdown();
  await host.ip('link del br-mine');
  await host.run('nft', ['delete', 'table', 'ip', 'varve_mine']);
});

test('does not make the host a router between its wires, but leaves the bridges of others alone', async () => {
  await host.run('busybox', ['sysctl', '-w', 'net.ipv4.ip_forward=0']);
  const { networks } = engine('router');
  await container(networks, 'a');
  const far = networks.createNamespace('far');
  const reaches = async (address: string): Promise<boolean> =>
    (await host.inside(host.outside, 'timeout', '1', 'busybox', 'ping', '-c', '1', address)).code === 0;
  await host.ip('link add foreign type bridge');
  await host.ip('link set foreign up');
  for (const [device, subnet] of [
    ['up0', '203.0.113'],
    ['foreign', '192.0.2'],
  ] as const) {
    const port = device === 'foreign' ? 'up1' : device;
    await host.ip(`link add ${port} type veth peer name far-${port} netns ${far}`);
    if (device === 'foreign') await host.ip(`link set ${port} master foreign`);
    await host.ip(`link set ${port} up`);
    await host.ip(`addr add ${subnet}.1/24 dev ${device}`);
    await host.inside(far, 'ip', 'addr', 'add', `${subnet}.2/24`, 'dev', `far-${port}`);
    await host.inside(far, 'ip', 'link', 'set', `far-${port}`, 'up');
    await host.inside(host.outside, 'ip', 'route', 'add', `${subnet}.0/24`, 'via', '198.51.100.1');
  }
  await host.inside(far, 'ip', 'route', 'add', '198.51.100.0/24', 'via', '192.0.2.1');
  assert.equal(await reaches('192.0.2.2'), true);
  await host.inside(far, 'ip', 'route', 'replace', '198.51.100.0/24', 'via', '203.0.113.1');
  assert.equal(await reaches('203.0.113.2'), false);
  await host.run('nft', ['flush', 'ruleset']);
  assert.equal(await reaches('203.0.113.2'), true, 'the route itself works');
  await networks.removeNamespace('far');
  await networks.detachAll('a');
  await networks.removeNamespace('a');
  await networks.shutdown();
});
