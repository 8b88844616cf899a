import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from '../engine/harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

/** The engine's open files and resident memory in MiB. */
function engineUse(): { readonly files: number; readonly memory: number } {
  const pid = readFileSync(join(engine.folder, 'pid'), 'utf8').trim();
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]);
  return { files: readdirSync(`/proc/${pid}/fd`).length, memory: (pages * 4096) / 2 ** 20 };
}

/** Asks, waits for the head of the answer, and reads no more. */
function stubborn(method: string, path: string, body = ''): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(engine.socket);
    socket.on('error', reject);
    const type = body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    const upgrade = method === 'POST' ? 'Connection: Upgrade\r\nUpgrade: tcp\r\n' : '';
    socket.write(`${method} /v1.45${path} HTTP/1.1\r\nHost: d\r\n${type}${upgrade}\r\n${body}`);
    socket.once('readable', () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      assert.match(String(socket.read(12)), /^HTTP\/1\.1 (101|200)/);
      resolve(socket);
    });
  });
}

/** The files are as many as before, give or take what the thread pool and the runtime's own come and go with. */
async function released(before: number): Promise<void> {
  await eventually('open files are as before', () => engineUse().files <= before + 5, 20_000);
}

test('clients that never read hold neither the container nor the engine’s memory', {
  timeout: 60_000,
}, async () => {
  // Counts lines of its own; that it goes on shows in a file.
  const flood =
    'i=0; while :; do i=$((i+1)); echo "$i 0123456789012345678901234567890123456789"; [ $((i%1000)) = 0 ] && echo $i > /count; done';
  await engine.ok('run', '-d', '--name', 'flood', 'busybox', 'sh', '-c', flood);
  const before = engineUse();
  const clients: Socket[] = [];
  for (let round = 0; round < 15; round++) {
    clients.push(await stubborn('POST', '/containers/flood/attach?stream=1&stdout=1'));
    clients.push(await stubborn('GET', '/containers/flood/logs?follow=1&stdout=1&tail=all'));
    clients.push(await stubborn('GET', '/containers/flood/stats'));
    clients.push(await stubborn('GET', '/events?since=1'));
  }
  const count = async () => Number(await engine.ok('exec', 'flood', 'cat', '/count'));
  const start = await count();
  await eventually('the container goes on', async () => (await count()) > start + 5_000, 30_000);
  const grown = engineUse().memory - before.memory;
  assert.ok(grown < 300, `the engine grew by ${grown.toFixed(0)} MiB`);
  assert.equal((await engine.docker('ps', '-q')).code, 0);
  for (const client of clients) client.destroy();
  await released(before.files);
  await engine.ok('rm', '-f', 'flood');
});

test('followers that vanish leave no open file behind, round after round', { timeout: 60_000 }, async () => {
  await engine.ok('run', '-d', '--name', 'quiet', 'busybox', 'sleep', '1000');
  const before = engineUse().files;
  for (let round = 0; round < 10; round++) {
    const clients = await Promise.all(
      [
        ['POST', '/containers/quiet/attach?stream=1&stdout=1'],
        ['GET', '/containers/quiet/logs?follow=1&stdout=1'],
        ['GET', '/containers/quiet/stats'],
        ['GET', '/events?since=1'],
        ['POST', '/containers/quiet/wait?condition=next-exit'],
      ].flatMap(([method, path]) => [stubbornOrWaiting(method as string, path as string)]),
    );
    for (const client of clients) client.destroy();
  }
  await released(before);
  await engine.ok('rm', '-f', 'quiet');
});

/** The same for answers whose first byte may be long in coming. */
function stubbornOrWaiting(method: string, path: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(engine.socket, () => {
      socket.write(`${method} /v1.45${path} HTTP/1.1\r\nHost: d\r\n\r\n`, () =>
        setImmediate(resolve, socket),
      );
    });
    socket.on('error', () => undefined);
  });
}

test('execs whose clients vanish end or go on, and are forgotten by the engine', {
  timeout: 60_000,
}, async () => {
  await engine.ok('run', '-d', '--name', 'target', 'busybox', 'sleep', '1000');
  const before = engineUse().files;
  for (let round = 0; round < 8; round++) {
    const { request } = await import('node:http');
    const id = await new Promise<string>((resolve, reject) => {
      const body = JSON.stringify({ Cmd: ['sh', '-c', 'yes | head -n 200000'], AttachStdout: true });
      const call = request(
        {
          socketPath: engine.socket,
          method: 'POST',
          path: '/v1.45/containers/target/exec',
          headers: { 'Content-Type': 'application/json', 'Content-Length': body.length },
        },
        (response) => {
          response.setEncoding('utf8').once('data', (text: string) => resolve(JSON.parse(text).Id as string));
        },
      );
      call.once('error', reject);
      call.end(body);
    });
    const socket = await stubborn('POST', `/exec/${id}/start`, '{"Detach":false,"Tty":false}');
    socket.destroy();
  }
  await released(before);
  const left = await engine.ok('exec', 'target', 'sh', '-c', 'ps | grep -c "[y]es" || true');
  assert.equal(left, '0', 'writers ended with their reader');
  await engine.ok('rm', '-f', 'target');
});

test('a line without end and a million short ones come out of the log whole', {
  timeout: 60_000,
}, async () => {
  const before = engineUse();
  await engine.ok(
    'run',
    '--name',
    'long',
    'busybox',
    'sh',
    '-c',
    'head -c 20000000 /dev/zero | tr "\\0" x; yes | head -n 100000',
  );
  const child = engine.begin(['logs', 'long']);
  let bytes = 0;
  child.stdout?.on('data', (part: Buffer) => {
    bytes += part.length;
  });
  assert.equal(await new Promise((resolve) => child.once('close', resolve)), 0);
  assert.equal(bytes, 20_000_000 + 200_000);
  assert.equal(await engine.ok('logs', '--tail', '2', 'long'), 'y\ny');
  const grown = engineUse().memory - before.memory;
  assert.ok(grown < 250, `the engine grew by ${grown.toFixed(0)} MiB`);
  await engine.ok('rm', 'long');
});

test('stdin of megabytes that nobody reads does not grow the engine', { timeout: 60_000 }, async () => {
  await engine.ok('run', '-d', '-i', '--name', 'deaf', 'busybox', 'sleep', '1000');
  const before = engineUse();
  const socket = await stubborn('POST', '/containers/deaf/attach?stream=1&stdin=1&stdout=1');
  const block = Buffer.alloc(1 << 20, 'x');
  for (let sent = 0; sent < 200; sent++) socket.write(block);
  await eventually('the engine takes no more', async () => {
    const waiting = socket.writableLength;
    await engine.ok('ps', '-q');
    return socket.writableLength === waiting;
  });
  const grown = engineUse().memory - before.memory;
  assert.ok(grown < 150, `the engine grew by ${grown.toFixed(0)} MiB`);
  assert.ok(socket.writableLength > 100 << 20, 'most of it was not taken');
  socket.destroy();
  await engine.ok('rm', '-f', 'deaf');
  await released(before.files);
});
