import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { routes } from '../../src/api/routes/index.ts';
import { TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

/** Streams that never end by themselves are cut after this. */
const patienceMs = 1500;

function status(method: string, path: string, body: string | undefined): Promise<number | string> {
  return new Promise((resolve) => {
    const headers =
      body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const message = request({ socketPath: engine.socket, method, path, headers }, (response) => {
      resolve(response.statusCode ?? 0);
      response.resume();
      response.once('end', () => clearTimeout(timer));
    });
    const timer = setTimeout(() => message.destroy(), patienceMs);
    message.on('upgrade', (response, socket) => {
      resolve(response.statusCode ?? 0);
      socket.destroy();
    });
    message.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    message.end(body);
  });
}

const names = ['%00', '..%2f..%2fetc', '%ff%fe', 'a'.repeat(3000), '$(id)', '__proto__', '%E2%82%AC', '-1'];
const queries = [
  '',
  'filters=%7B%22label%22%3A%7B%22a%22%3A1%7D%7D',
  'path=..%2f..%2f..%2fetc%2fshadow',
  'path=%00',
  't=99999999999999999999',
  'since=x&until=y&stdout=1',
  'h=0&w=0&signal=NOPE',
  'fromImage=UPPER%3A&tag=sha256:zz',
  'fromSrc=-&repo=a%20b',
  'container=none&changes=RUN+x',
  'ps_args=-o%20pid%3B%20id',
  'buildargs=%7B&dockerfile=..%2f..%2fx',
];
const bodies = [
  '',
  '[]',
  'null',
  '{"Image":1}',
  '{"Image":"busybox","HostConfig":5}',
  '{"Image":"busybox","HostConfig":{"Binds":["::::"]}}',
  '{"Image":"busybox","HostConfig":{"PortBindings":{"80":[{"HostPort":"x"}]}}}',
  '{"Image":"busybox","HostConfig":{"Mounts":[{"Type":"bind"}]}}',
  '{"Image":"busybox","HostConfig":{"NetworkMode":"container:"}}',
  '{"Image":"busybox","__proto__":{"a":1},"Labels":{"__proto__":"x"}}',
  '{"Image":"busybox","Env":["\\u0000"]}',
  `{"Name":"${'n'.repeat(500)}"}`,
  '{"Cmd":null,"Env":[1]}',
  '{"Memory":-5}',
];

test('no route fails by itself on hostile names, parameters and documents', async () => {
  let turn = 0;
  for (const route of routes.filter(({ path }) => path !== '/events')) {
    for (let round = 0; round < 4; round++, turn++) {
      const path = route.path.replace(/\{[a-z]+(?:\.\.\.)?\}/g, () => names[turn % names.length] as string);
      const query = queries[(turn * 5) % queries.length];
      const body = ['GET', 'HEAD', 'DELETE'].includes(route.method)
        ? undefined
        : bodies[(turn * 3) % bodies.length];
      const answer = await status(route.method, `/v1.51${path}?${query}`, body);
      const call = `${route.method} ${path.slice(0, 100)}?${query} ${body ?? ''}`;
      assert.equal(typeof answer, 'number', `${call}: ${answer}`);
      assert.ok(Number(answer) < 500 || answer === 501 || answer === 503, `${call}: ${answer}`);
    }
  }
  assert.equal(await engine.ok('run', '--rm', 'busybox', 'echo', 'fine'), 'fine');
});

test('bytes that are no HTTP end their connection and nothing else', async () => {
  const ended = Array.from(
    { length: 20 },
    (_, index) =>
      new Promise((resolve) => {
        const socket = connect(engine.socket);
        socket.on('error', () => undefined);
        socket.once('close', resolve);
        socket.resume();
        const heads = [
          'GET /_ping HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
          'POST / HTTP/9.9\r\n\r\n',
          `GET / HTTP/1.1\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
        ];
        socket.write(index % 2 === 0 ? randomBytes(500) : (heads[index % heads.length] as string));
        socket.end();
      }),
  );
  await Promise.all(ended);
  assert.equal(await engine.ok('version', '--format', '{{.Server.APIVersion}}'), '1.51');
});
