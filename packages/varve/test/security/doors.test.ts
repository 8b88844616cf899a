import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestEngine } from '../engine/harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

/** Sends bytes as they are and gives all that comes back until the engine closes or falls silent. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(engine.socket);
    let answer = '';
    socket.setTimeout(400, () => {
      socket.destroy();
      resolve(answer);
    });
    socket.setEncoding('latin1').on('data', (part: string) => {
      answer += part;
    });
    socket.once('close', () => resolve(answer));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(answer) : reject(error),
    );
    socket.write(bytes);
  });
}

const statusLines = (answer: string): string[] => answer.match(/HTTP\/1\.1 \d{3}/g) ?? [];

test('the socket is for its owner and group alone', () => {
  assert.equal((statSync(engine.socket).mode & 0o777).toString(8), '660');
});

test('requests in one packet are answered each, in order', async () => {
  const one = 'GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n';
  const other = 'GET /nonesuch HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n';
  assert.deepEqual(statusLines(await raw(one + other)), ['HTTP/1.1 200', 'HTTP/1.1 404']);
});

test('a request cannot hide in the body of another', async () => {
  const hidden = 'DELETE /images/busybox?force=1 HTTP/1.1\r\nHost: d\r\n\r\n';
  const create = 'POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n';
  for (const [what, bytes] of [
    ['both lengths', `${create}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['two lengths', `${create}Content-Length: 0\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`],
    ['odd encoding', `${create}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['bad chunk', `${create}Transfer-Encoding: chunked\r\n\r\nzz\r\n${hidden}`],
    ['negative length', `${create}Content-Length: -1\r\n\r\n${hidden}`],
    ['space before the colon', `${create}Content-Length : 0\r\n\r\n${hidden}`],
    ['bare line feeds', `${create}Content-Length: 2\nX: y\n\n{}${hidden}`],
    [
      'after a refused body',
      `${create}Content-Length: ${5 << 20}\r\n\r\n${'x'.repeat((4 << 20) + 1)}${hidden}`,
    ],
    [
      'in an upgrade',
      `POST /containers/none/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n${hidden}`,
    ],
  ] as const) {
    const answer = await raw(bytes);
    assert.ok(statusLines(answer).length <= 1, `${what}: ${answer}`);
    await engine.ok('image', 'inspect', 'busybox');
  }
});

test('a web page cannot drive the engine over TCP, not by a rebound name either', async () => {
  await engine.down();
  await engine.up('--host=tcp://127.0.0.1:23750');
  const ask = async (headers: Record<string, string>, method = 'GET', path = '/containers/json') => {
    const script = `
      require('node:http').request({ host: '127.0.0.1', port: 23750, method: ${JSON.stringify(method)},
        path: ${JSON.stringify(path)}, headers: ${JSON.stringify(headers)} },
        (r) => { process.stdout.write(String(r.statusCode)); r.resume(); }).end();`;
    return (await engine.onHost(process.execPath, '-e', script)).stdout;
  };
  const local = '127.0.0.1:23750';
  assert.equal(await ask({ host: local }), '200', 'a program');
  assert.equal(await ask({ host: 'docker:23750' }), '200', 'a program, by a name');
  assert.equal(await ask({ host: local, origin: `http://${local}` }), '200', 'the engine’s own page');
  assert.equal(await ask({ host: local, origin: 'https://evil.test' }), '403', 'another page');
  assert.equal(await ask({ host: local, origin: 'https://evil.test' }, 'POST', '/containers/prune'), '403');
  assert.equal(await ask({ host: local, origin: 'null' }), '403', 'a sandboxed frame');
  const rebound = 'evil.test:23750';
  assert.equal(await ask({ host: rebound, origin: `http://${rebound}` }), '403', 'rebound');
  assert.equal(await ask({ host: rebound, 'accept-language': 'en' }), '403', 'rebound, without an origin');
  assert.equal(
    await ask({ host: rebound, 'user-agent': 'Mozilla/5.0' }),
    '403',
    'rebound, a browser by name',
  );
  await engine.down();
  await engine.up();
});

test('what stands in the way of the socket is left alone, a link is not followed', async () => {
  const folder = join(engine.folder, 'other');
  mkdirSync(folder);
  const file = join(folder, 'precious');
  writeFileSync(file, 'precious');
  const link = join(folder, 'link.sock');
  symlinkSync(file, link);
  await engine.down();
  for (const path of [file, link]) {
    await assert.rejects(engine.up(`--host=unix://${path}`), /in use/);
    assert.equal(readFileSync(file, 'utf8'), 'precious');
  }
  await engine.up();
});
