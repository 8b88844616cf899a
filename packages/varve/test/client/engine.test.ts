import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { type ContainerCreate, Engine, EngineError, type OutputChunk } from '@varve/client';
import { pack } from 'tar-stream';
import { TestEngine } from '../engine/harness.ts';

let daemon: TestEngine;
let engine: Engine;

before(async () => {
  daemon = await TestEngine.start();
  engine = new Engine({ host: `unix://${daemon.socket}` });
});

after(async () => {
  engine?.close();
  await daemon?.[Symbol.asyncDispose]();
});

const create = async (config: Partial<ContainerCreate>, name?: string): Promise<string> =>
  (await engine.containers.create({ Image: 'busybox', ...config }, name === undefined ? {} : { name })).Id;

async function textOf(output: AsyncIterable<OutputChunk>): Promise<Record<string, string>> {
  const text: Record<string, string> = {};
  for await (const { stream, data } of output) text[stream] = (text[stream] ?? '') + data.toString();
  return text;
}

test('says what it is', async () => {
  assert.equal((await engine.ping()).osType, 'linux');
  assert.equal((await engine.version()).ApiVersion, '1.51');
  assert.equal((await engine.info())['OSType'], 'linux');
  assert.ok((await engine.diskUsage()).Images?.length);
});

test('runs a container with input, both outputs and an exit code', async () => {
  const id = await create({
    Cmd: ['sh', '-c', 'cat; echo oops >&2; exit 5'],
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const { socket, output } = await engine.containers.attach(id, { tty: false, stdin: true });
  const ready = Promise.withResolvers<void>();
  const exit = engine.containers.wait(id, { condition: 'next-exit', onReady: ready.resolve });
  await ready.promise;
  assert.equal(await engine.containers.start(id), true);
  const large = 'x'.repeat(300_000);
  socket.end(large);
  const text = await textOf(output);
  assert.equal(text['1']?.length, large.length);
  assert.equal(text['2'], 'oops\n');
  assert.equal((await exit).StatusCode, 5);
  assert.deepEqual(await textOf(engine.containers.logs(id, { tty: false, stdout: false })), { 2: 'oops\n' });
  await engine.containers.remove(id);
  await assert.rejects(engine.containers.inspect(id), (error) => EngineError.is(error, 404));
});

test('executes, follows logs until told to stop, and shows processes, numbers and changes', async () => {
  const id = await create({ Cmd: ['sh', '-c', 'echo up; touch /new; exec sleep 1000'] }, 'long');
  assert.equal(await engine.containers.start('long'), true);
  assert.equal(await engine.containers.start('long'), false);
  const { Id } = await engine.containers.createExec(id, {
    Cmd: ['sh', '-c', 'cat; exit 3'],
    AttachStdin: true,
    AttachStdout: true,
  });
  const { socket, output } = await engine.containers.startExec(Id, { tty: false });
  socket.end('through exec');
  assert.deepEqual(await textOf(output), { 1: 'through exec' });
  assert.equal((await engine.containers.inspectExec(Id)).ExitCode, 3);

  const controller = new AbortController();
  await assert.rejects(async () => {
    const logs = engine.containers.logs(id, { tty: false, follow: true, signal: controller.signal });
    for await (const { data } of logs) {
      assert.equal(data.toString(), 'up\n');
      controller.abort(new Error('seen'));
    }
  }, /seen/);
  assert.deepEqual(
    (await engine.containers.top(id)).Processes.map((columns) => columns.at(-1)),
    ['sleep 1000'],
  );
  for await (const stats of engine.containers.stats(id, { stream: false })) {
    assert.equal(stats['id'], id);
  }
  assert.ok((await engine.containers.changes(id)).some(({ Path, Kind }) => Path === '/new' && Kind === 1));
  await engine.containers.rename(id, 'renamed');
  await engine.containers.pause('renamed');
  assert.equal((await engine.containers.inspect(id)).State.Status, 'paused');
  await engine.containers.unpause('renamed');
  await engine.containers.update(id, { Memory: 64 << 20, MemorySwap: 128 << 20 });
  await engine.containers.kill(id, 'KILL');
  assert.equal((await engine.containers.wait(id)).StatusCode, 137);
  assert.equal(await engine.containers.stop(id), false);
  await engine.containers.remove(id, { force: true });
});

test('copies files in and out of a container', async () => {
  const id = await create({ Cmd: ['true'] });
  const archive = pack();
  archive.entry({ name: 'note' }, 'copied');
  archive.finalize();
  await engine.containers.putArchive(id, '/tmp', Readable.from(archive));
  assert.equal((await engine.containers.statPath(id, '/tmp/note')).size, 6);
  const { stat, archive: back } = await engine.containers.getArchive(id, '/tmp/note');
  assert.equal(stat.name, 'note');
  assert.match((await buffer(back)).toString('latin1'), /copied/);
  const { Id } = await engine.containers.commit(id, { repo: 'committed', tag: '1' });
  assert.match(Id, /^sha256:[0-9a-f]{64}$/);
  assert.ok((await buffer(await engine.containers.export(id))).includes('tmp/note'));
  await engine.containers.remove(id);
  assert.deepEqual((await engine.images.inspect('committed:1')).RepoTags, ['committed:1']);
  assert.equal((await engine.images.history('committed:1')).length, 2);
  await engine.images.remove('committed:1');
});

test('builds, tags, saves, loads and removes images', async () => {
  const context = pack();
  context.entry({ name: 'Dockerfile' }, 'FROM busybox\nLABEL a=b\nRUN echo built >/made\n');
  context.finalize();
  const lines: string[] = [];
  for await (const line of engine.images.build(Readable.from(context), { t: ['built:1'] })) {
    if (line.stream) lines.push(line.stream);
  }
  assert.match(lines.join(''), /Successfully tagged built:1/);
  await engine.images.tag('built:1', { repo: 'localhost:5000/other/name', tag: '2' });
  const listed = await engine.images.list({ filters: { label: ['a=b'] } });
  assert.deepEqual([...(listed[0]?.RepoTags ?? [])].sort(), ['built:1', 'localhost:5000/other/name:2']);
  const saved = await buffer(await engine.images.save(['built:1']));
  await engine.images.remove('localhost:5000/other/name:2');
  const removed = await engine.images.remove('built:1');
  assert.ok(removed.some(({ Deleted }) => Deleted?.startsWith('sha256:')));
  const loaded = await Array.fromAsync(engine.images.load(Readable.from([saved])));
  assert.match(loaded.map(({ stream }) => stream).join(''), /Loaded image: built:1/);
  const broken = pack();
  broken.entry({ name: 'Dockerfile' }, 'FROM busybox\nRUN exit 7\n');
  broken.finalize();
  await assert.rejects(
    Array.fromAsync(engine.images.build(Readable.from(broken))),
    /returned a non-zero code: 7/,
  );
});

test('publishes ports, makes networks and volumes, and tells of it in events', async () => {
  const since = String(Math.floor(Date.now() / 1000) - 1);
  await engine.volumes.create({ Name: 'data', Labels: { a: 'b' } });
  const { Id: network } = await engine.networks.create({
    Name: 'net',
    IPAM: { Config: [{ Subnet: '10.66.0.0/24' }] },
  });
  const id = await create(
    {
      Cmd: ['sh', '-c', 'echo served >/data/index.html; exec httpd -f -p 80 -h /data'],
      ExposedPorts: { '80/tcp': {} },
      HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '' }] }, Binds: ['data:/data'] },
    },
    'web',
  );
  await engine.containers.start(id);
  await engine.networks.connect('net', 'web', { Aliases: ['www'], IPAMConfig: { IPv4Address: '10.66.0.9' } });
  const { NetworkSettings } = await engine.containers.inspect('web');
  assert.equal(NetworkSettings.Networks['net']?.IPAddress, '10.66.0.9');
  const port = NetworkSettings.Ports['80/tcp']?.[0]?.HostPort;
  const answer = await daemon.onHost(
    'curl',
    '-s',
    '--retry',
    '5',
    '--retry-connrefused',
    `http://127.0.0.1:${port}/`,
  );
  assert.equal(answer.stdout, 'served\n');
  const { Mountpoint } = await engine.volumes.inspect('data');
  assert.equal(readFileSync(`${Mountpoint}/index.html`, 'utf8'), 'served\n');
  await assert.rejects(engine.volumes.remove('data'), (error) => EngineError.is(error, 409));
  await assert.rejects(engine.networks.remove('net'), (error) => EngineError.is(error, 403));
  await engine.networks.disconnect('net', 'web');
  await engine.containers.remove('web', { force: true });
  await engine.networks.remove(network);
  assert.deepEqual((await engine.volumes.prune({ all: ['true'] })).VolumesDeleted, ['data']);
  const until = String(Math.ceil(Date.now() / 1000) + 1);
  const told: string[] = [];
  for await (const { Type, Action } of engine.events({ since, until })) told.push(`${Type} ${Action}`);
  for (const event of [
    'volume create',
    'network create',
    'container start',
    'network connect',
    'network disconnect',
    'container destroy',
    'volume destroy',
  ]) {
    assert.ok(told.includes(event), `${event} in ${told.join(', ')}`);
  }
});
