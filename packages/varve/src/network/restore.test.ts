import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
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

test('takes the networks of running containers back after a kill, and clears the others', async () => {
  const file = join(host.folder, 'state.db');
  const daemon = host.start(process.execPath, [
    join(import.meta.dirname, 'testing/daemon.ts'),
    file,
    host.folder,
    '18087',
  ]);
  const first = await Promise.race([once(daemon.stdout ?? daemon, 'data'), once(daemon, 'exit')]);
  assert.equal(String(first[0]), 'ready\n');
  const path = join(host.folder, 'netns/a');
  await host.serve(path, 'survivor');
  const gone = once(daemon, 'exit');
  daemon.kill('SIGKILL');
  await gone;
  assert.equal(await host.fetchInside(host.outside, 'http://198.51.100.1:18087/'), 'survivor');

  const state = new State(file);
  const networks = new NetworkManager({ state, runRoot: host.folder });
  const { bridge = '' } = networks.inspect('app');
  const orphan = `vv${networks.inspect('bridge').id.slice(0, 4)}orphan`;
  await host.ip(`link add ${orphan} master ${bridge} type veth peer name peer0`);
  await host.ip(`link add vvothers master ${bridge} type veth peer name peer1`);
  const said = await networks.restore(['a']);
  assert.equal(said.length, 3, said.join('\n'));
  assert.match(
    said.join('\n'),
    /removed endpoint [0-9a-f]{12} of container b[\s\S]*orphan[\s\S]*namespace b/,
  );
  assert.ok(!existsSync(join(host.folder, 'netns/b')));
  const links = (await host.ip('link')).output;
  assert.ok(!links.includes(orphan));
  assert.match(links, /vvothers/);
  await host.ip('link del vvothers');

  assert.equal(await host.fetch('http://127.0.0.1:18087/'), 'survivor');
  const lookup = await host.inside(path, 'timeout', '5', 'busybox', 'nslookup', '-type=a', 'a', '127.0.0.11');
  assert.match(lookup.output, new RegExp(networks.endpointsOf('a')[0]?.address ?? 'none'));
  await assert.rejects(
    networks.attach('app', {
      containerId: 'c',
      namespacePath: networks.createNamespace('c'),
      interfaceName: 'eth0',
      names: ['c'],
      ports: [{ protocol: 'tcp', containerPort: 80, hostPort: 18_087, hostAddress: '0.0.0.0' }],
    }),
    /port is already allocated/,
  );
  for (const id of ['a', 'c']) {
    await networks.detachAll(id);
    await networks.removeNamespace(id);
  }
  await networks.teardown();
  assert.doesNotMatch((await host.ip('link')).output, /br-|varve/);
  assert.equal((await host.run('nft', ['list', 'tables'])).output, '');
  await networks.shutdown();
  state.close();
});
