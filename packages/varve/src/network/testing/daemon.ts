import { State } from '../../state/index.ts';
import { NetworkManager } from '../index.ts';

// A daemon for tests that kill it: attaches the containers `a` and `b` to a user network, says so, and waits to be killed.
const [, , statePath = '', runRoot = '', port = ''] = process.argv;
const networks = new NetworkManager({ state: new State(statePath), runRoot });
await networks.create({ name: 'app' });
for (const id of ['a', 'b']) {
  await networks.attach('app', {
    containerId: id,
    namespacePath: networks.createNamespace(id),
    interfaceName: 'eth0',
    names: [id],
    ports:
      id === 'a'
        ? [{ protocol: 'tcp', containerPort: 80, hostPort: Number(port), hostAddress: '0.0.0.0' }]
        : [],
  });
}
process.stdout.write('ready\n');
setInterval(() => undefined, 2 ** 30);
