import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { State } from '../state/index.ts';
import { NetworkManager } from './index.ts';
import { eventually, Sandbox } from './testing/sandbox.ts';

interface Packet {
  readonly id: number;
  readonly type: string;
  readonly flags: number;
  readonly questions: readonly { readonly type: string; readonly name: string }[];
  readonly answers?: readonly object[];
}
const packet: { encode(packet: Packet): Buffer; decode(bytes: Buffer): Packet } = createRequire(
  import.meta.url,
)('dns-packet');
const TRUNCATED = 0x200;
const NO_SUCH_NAME = 3;

let host: Sandbox;
let state: State;
let networks: NetworkManager;
let udp: Socket;
let tcp: Server;
const asked: string[] = [];

function answer(query: Buffer, transport: 'udp' | 'tcp'): Buffer {
  const { id, questions } = packet.decode(query);
  const name = questions[0]?.name ?? '';
  asked.push(`${transport} ${name}`);
  const known = name === 'outer.test' || (name === 'large.test' && transport === 'tcp');
  const flags = name === 'large.test' && transport === 'udp' ? TRUNCATED : known ? 0 : NO_SUCH_NAME;
  const answers = known ? [{ type: 'A', name, ttl: 1, data: '192.0.2.77' }] : [];
  return packet.encode({ id, type: 'response', flags, questions, answers });
}

before(async () => {
  host = await Sandbox.enter();
  state = new State(':memory:');
  networks = new NetworkManager({ state, runRoot: host.folder });
  udp = createSocket('udp4');
  udp.on('message', (query, { port, address }) => {
    // A forger who cannot see the query: its answers must not be taken.
    udp.send(packet.encode({ id: 1, type: 'response', flags: NO_SUCH_NAME, questions: [] }), port, address);
    udp.send(answer(query, 'udp'), port, address);
  });
  udp.bind(53, '198.51.100.1');
  await once(udp, 'listening');
  tcp = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (bytes) => {
      const reply = answer(bytes.subarray(2), 'tcp');
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      socket.write(Buffer.concat([length, reply]));
    });
  });
  tcp.listen(53, '198.51.100.1');
  await once(tcp, 'listening');
  await networks.create({ name: 'app' });
  await networks.create({ name: 'hidden', internal: true });
});

after(async () => {
  for (const id of ['a', 'b', 'inner', 'other']) {
    await networks.detachAll(id);
    await networks.removeNamespace(id);
  }
  await networks.shutdown();
  state.close();
  udp.close();
  tcp.close();
  await host.leave();
});

async function join(id: string, network = 'app'): Promise<string> {
  const namespacePath = networks.createNamespace(id);
  await networks.attach(network, {
    containerId: id,
    namespacePath,
    interfaceName: 'eth0',
    names: [id],
    ports: [],
    dns: ['198.51.100.1'],
  });
  return namespacePath;
}

async function lookup(path: string, name: string): Promise<string> {
  const { output } = await host.inside(
    path,
    'timeout',
    '8',
    'busybox',
    'nslookup',
    '-type=a',
    name,
    '127.0.0.11',
  );
  return output;
}

test('passes other names on, and large answers over TCP', async () => {
  const path = await join('a');
  assert.match(await lookup(path, 'outer.test'), /192\.0\.2\.77/);
  assert.match(await lookup(path, 'nobody.test'), /NXDOMAIN/);
  const question = packet.encode({
    id: 9,
    type: 'query',
    flags: 0x100,
    questions: [{ type: 'A', name: 'large.test' }],
  });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(question.length);
  // The query over TCP, from inside, as a resolver does after a truncated answer.
  const script = `printf '%b' '${[...length, ...question].map((byte) => `\\0${byte.toString(8)}`).join('')}'; sleep 1`;
  const { output } = await host.inside(
    path,
    'sh',
    '-c',
    `(${script}) | timeout 5 busybox nc 127.0.0.11 53 | od -An -tu1 | tr -s ' \\n' ' '`,
  );
  assert.match(output, /192 0 2 77/);
  assert.ok(asked.includes('tcp large.test'));
});

test('sends nothing out of an internal network', async () => {
  const path = await join('inner', 'hidden');
  const before = asked.length;
  assert.match(await lookup(path, 'outer.test'), /SERVFAIL/);
  assert.equal(asked.length, before);
});

test('leaves port 53 to a container that serves DNS itself', async () => {
  const path = await join('b');
  host.start('nsenter', [`--net=${path}`, 'busybox', 'nc', '-l', '-p', '53']);
  await eventually(
    async () =>
      /0:0035 0+:0000 0A /.test((await host.inside(path, 'cat', '/proc/net/tcp', '/proc/net/tcp6')).output),
    'listening on 53',
  );
  assert.match(await lookup(path, 'b'), /Address: /);
});

test('loses no query while other containers come and go', async () => {
  const path = 'a';
  const namespacePath = networks.namespacePath(path);
  const stop = new AbortController();
  const churn = (async () => {
    while (!stop.signal.aborted) {
      await join('other');
      await networks.detachAll('other');
      await networks.removeNamespace('other');
    }
  })();
  const results = [];
  for (let query = 0; query < 30; query++) results.push(await lookup(namespacePath, 'b'));
  stop.abort();
  await churn;
  assert.equal(results.filter((output) => /Address: 172\./.test(output)).length, 30);
});

test('goes on after rubbish, over UDP and TCP', async () => {
  const path = networks.namespacePath('a');
  const rubbish =
    'head -c 60000 /dev/urandom | timeout 3 busybox nc -w 1 127.0.0.11 53 >/dev/null; for i in 1 2 3 4 5; do head -c 500 /dev/urandom | timeout 1 busybox nc -u -w 1 127.0.0.11 53 >/dev/null & done; wait';
  await host.inside(path, 'sh', '-c', rubbish);
  assert.match(await lookup(path, 'b'), /Address: 172\./);
});
