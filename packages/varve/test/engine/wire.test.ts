import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  await engine.ok('run', '-d', '--name', 'q1', 'busybox', 'sleep', '100000');
  await engine.ok('create', '--name', 'q2', 'busybox');
});
after(() => engine[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function call(
  method: string,
  path: string,
  options: { readonly body?: string; readonly headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const message = request(
      { socketPath: engine.socket, method, path, headers: { host: 'docker', ...options.headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    message.on('error', reject);
    message.end(options.body);
  });
}

const json = { 'content-type': 'application/json' };

function message(answer: Answer): string {
  return (JSON.parse(answer.text) as { message: string }).message;
}

const jammed = 'This node is not a swarm manager. Use "docker swarm init"';

/** Answers of dockerd 28.5.2 to the same requests. */
const cases: readonly {
  readonly call: readonly [string, string, string?];
  readonly status: number;
  readonly says?: string;
}[] = [
  {
    call: ['GET', '/v1.10/info'],
    status: 400,
    says: 'client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version',
  },
  {
    call: ['GET', '/v1.99/info'],
    status: 400,
    says: 'client version 1.99 is too new. Maximum supported API version is 1.51',
  },
  { call: ['POST', '/_ping'], status: 404, says: 'page not found' },
  { call: ['DELETE', '/info'], status: 404, says: 'page not found' },
  { call: ['GET', '/v1.45/nonesuch'], status: 404, says: 'page not found' },
  { call: ['GET', '/containers/json?filters=garbage'], status: 400, says: 'invalid filter' },
  { call: ['GET', '/containers/json?filters={"bogus":["x"]}'], status: 400, says: "invalid filter 'bogus'" },
  {
    call: ['GET', '/containers/q1/logs'],
    status: 400,
    says: 'Bad parameters: you must choose at least one stream',
  },
  { call: ['POST', '/containers/q1/wait?condition=bogus'], status: 400, says: 'invalid condition: "bogus"' },
  {
    call: ['DELETE', '/containers/q1'],
    status: 409,
    says: 'cannot remove container "q1": container is running: stop the container before removing or force remove',
  },
  {
    call: ['DELETE', '/networks/bridge'],
    status: 403,
    says: 'bridge is a pre-defined network and cannot be removed',
  },
  { call: ['DELETE', '/volumes/none'], status: 404, says: 'get none: no such volume' },
  { call: ['GET', '/swarm'], status: 503, says: jammed },
  { call: ['GET', '/services'], status: 503, says: jammed },
  { call: ['GET', '/nodes'], status: 503, says: jammed },
  { call: ['GET', '/secrets'], status: 503, says: jammed },
  { call: ['POST', '/containers/q1/start'], status: 304 },
  { call: ['POST', '/containers/q2/stop'], status: 304 },
  { call: ['POST', '/containers/q2/pause'], status: 409 },
  {
    call: ['POST', '/containers/create?name=q1', '{"Image":"busybox"}'],
    status: 409,
    says: 'Conflict. The container name "/q1" is already in use by container',
  },
  {
    call: ['POST', '/containers/create?name=_bad!', '{"Image":"busybox"}'],
    status: 400,
    says: 'Invalid container name (_bad!), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
  },
  { call: ['POST', '/containers/create', '{"Image":"nope:1"}'], status: 404, says: 'No such image: nope:1' },
  { call: ['POST', '/containers/create', '{"Image":'], status: 400, says: 'invalid JSON' },
  {
    call: ['POST', '/containers/create', '{"Image":"busybox","Env":"A=1"}'],
    status: 400,
    says: 'invalid JSON: Env',
  },
  {
    call: ['GET', '/containers/q1/archive?path=/nofile'],
    status: 404,
    says: 'Could not find the file /nofile in container q1',
  },
  { call: ['GET', '/containers/q1/archive'], status: 400, says: 'bad parameter: path cannot be empty' },
  { call: ['GET', '/images/none/json'], status: 404, says: 'No such image: none:latest' },
  { call: ['POST', '/containers/prune?filters={"name":["x"]}'], status: 400, says: "invalid filter 'name'" },
  {
    call: ['POST', '/containers/q1/resize?h=x&w=1'],
    status: 400,
    says: 'invalid resize height "x": invalid syntax',
  },
  { call: ['GET', '/containers/nobody/json'], status: 404, says: 'No such container: nobody' },
  { call: ['POST', '/containers/q2/exec', '{"Cmd":["true"]}'], status: 409, says: 'is not running' },
  { call: ['GET', '/exec/none/json'], status: 404, says: 'No such exec instance: none' },
];

for (const {
  call: [method, path, body],
  status,
  says,
} of cases) {
  test(`${method} ${path}${body === undefined ? '' : ` ${body}`} is ${status}`, async () => {
    const answer = await call(method, encodeURI(path), body === undefined ? {} : { body, headers: json });
    assert.equal(answer.status, status, answer.text);
    if (says !== undefined) assert.ok(message(answer).includes(says), message(answer));
  });
}

test('every answer carries the engine’s headers, refusals too', async () => {
  for (const path of ['/version', '/v1.10/info', '/nonesuch']) {
    const { headers } = await call('GET', path);
    assert.equal(headers['api-version'], '1.51');
    assert.equal(headers['ostype'], 'linux');
    assert.match(String(headers['server']), /^Docker\/.+ \(linux\)$/);
  }
  const ping = await call('GET', '/_ping');
  assert.equal(ping.text, 'OK');
  const head = await call('HEAD', '/_ping');
  assert.deepEqual(
    [head.status, head.headers['content-length'], head.headers['cache-control']],
    [200, '0', 'no-cache, no-store, must-revalidate'],
  );
  assert.equal((await call('OPTIONS', '/anything')).status, 200);
});

test('refuses other content types and empty documents', async () => {
  const plain = await call('POST', '/containers/create', {
    body: '{}',
    headers: { 'content-type': 'text/plain' },
  });
  assert.equal(plain.status, 400);
  assert.equal(message(plain), "unsupported Content-Type header (text/plain): must be 'application/json'");
  const empty = await call('POST', '/containers/create', { headers: { 'content-length': '0' } });
  assert.equal(message(empty), 'invalid JSON: got EOF while reading request body');
});

test('refuses a start with a body', async () => {
  const answer = await call('POST', '/containers/q2/start', { body: '{"Binds":null}', headers: json });
  assert.equal(answer.status, 400);
  assert.match(message(answer), /^starting container with non-empty request body was deprecated/);
});

test('refuses a document beyond the limit without reading on', async () => {
  const answer = await call('POST', '/containers/create', {
    body: `{"Image":"${'x'.repeat(5 << 20)}"}`,
    headers: json,
  }).catch((error: NodeJS.ErrnoException) => error.code);
  assert.ok(
    answer === 'EPIPE' || answer === 'ECONNRESET' || (typeof answer === 'object' && answer.status === 413),
  );
  assert.equal((await call('GET', '/_ping')).status, 200);
});

test('plugins and volumes are empty in Docker’s own two ways', async () => {
  assert.equal((await call('GET', '/plugins')).text.trim(), '[]');
  const list = await call('GET', '/volumes');
  assert.deepEqual(JSON.parse(list.text), { Volumes: [], Warnings: null });
});

test('lists and inspect have the shapes clients rely on', async () => {
  const created = await call('POST', '/containers/create?name=shape', {
    body: JSON.stringify({
      Image: 'busybox',
      Cmd: 'true',
      Entrypoint: ['sh', '-c'],
      ExposedPorts: { '80/tcp': {} },
      HostConfig: { NetworkMode: 'default' },
    }),
    headers: json,
  });
  assert.equal(created.status, 201);
  const { Id, Warnings } = JSON.parse(created.text) as { Id: string; Warnings: unknown };
  assert.match(Id, /^[0-9a-f]{64}$/);
  assert.deepEqual(Warnings, []);
  const inspect = JSON.parse((await call('GET', `/containers/${Id.slice(0, 10)}/json`)).text) as Record<
    string,
    never
  >;
  assert.equal(String(inspect['Name']), '/shape');
  assert.deepEqual(inspect['Config']?.['Cmd'], ['true']);
  assert.equal(inspect['HostConfig']?.['NetworkMode'], 'bridge');
  assert.match(String(inspect['Created']), /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.equal(inspect['State']?.['StartedAt'], '0001-01-01T00:00:00Z');
  const [entry] = JSON.parse((await call('GET', '/containers/json?all=yes&limit=1')).text) as Record<
    string,
    unknown
  >[];
  assert.deepEqual(entry?.['Names'], ['/shape']);
  assert.equal(entry?.['State'], 'created');
  assert.equal(typeof entry?.['Created'], 'number');
  const [image] = JSON.parse((await call('GET', '/images/json')).text) as Record<string, unknown>[];
  assert.deepEqual(image?.['RepoTags'], ['busybox:latest']);
  assert.equal((await call('DELETE', `/containers/shape`)).status, 204);
});

test('archive stat is Go’s file mode in a header', async () => {
  const { headers } = await call('HEAD', '/containers/q1/archive?path=/etc');
  const stat = JSON.parse(
    Buffer.from(String(headers['x-docker-container-path-stat']), 'base64').toString(),
  ) as Record<string, unknown>;
  assert.equal(stat['name'], 'etc');
  assert.equal(stat['mode'], 2 ** 31 + 0o755);
  assert.equal(stat['linkTarget'], '');
});

function open(head: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: engine.socket, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.write(head);
      resolve(socket);
    });
  });
}

async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function newExec(body: Record<string, unknown>): Promise<string> {
  const answer = await call('POST', '/containers/q1/exec', { body: JSON.stringify(body), headers: json });
  return (JSON.parse(answer.text) as { Id: string }).Id;
}

test('exec: the body and early stdin may come with the upgrade, half close ends stdin alone', async () => {
  const id = await newExec({ Cmd: ['sh', '-c', 'cat; echo end'], AttachStdin: true, AttachStdout: true });
  const body = '{"Detach":false,"Tty":false}';
  const socket = await open(
    `POST /v1.45/exec/${id}/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}early `,
  );
  socket.end('late\n');
  const answer = (await all(socket)).toString('latin1');
  assert.match(
    answer,
    /^HTTP\/1\.1 101 UPGRADED\r\nContent-Type: application\/vnd\.docker\.multiplexed-stream\r\n/,
  );
  assert.ok(answer.includes('\u0001\0\0\0\0\0\0\u000bearly late\n'), JSON.stringify(answer));
  assert.ok(answer.endsWith('\u0001\0\0\0\0\0\0\u0004end\n'), JSON.stringify(answer));
  const inspect = JSON.parse((await call('GET', `/exec/${id}/json`)).text) as Record<string, unknown>;
  assert.deepEqual([inspect['Running'], inspect['ExitCode']], [false, 0]);
});

test('exec: without upgrade headers, and with a chunked body', async () => {
  const first = await newExec({ Cmd: ['echo', 'plain'], AttachStdout: true });
  const bare = await open(
    `POST /exec/${first}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  );
  const answer = (await all(bare)).toString('latin1');
  assert.match(
    answer,
    /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/vnd\.docker\.multiplexed-stream\r\n/,
  );
  assert.doesNotMatch(answer, /chunked/i);
  assert.ok(answer.endsWith('plain\n'));
  const second = await newExec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true });
  const chunked = await open(
    `POST /exec/${second}/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nin`,
  );
  chunked.end('put');
  assert.ok((await all(chunked)).toString('latin1').endsWith('input'));
});

test('attach: errors come as HTTP before the upgrade, and a raw stream in old versions', async () => {
  const refused = await open(
    'POST /containers/zzz/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n',
  );
  assert.match((await all(refused)).toString(), /^HTTP\/1\.1 404 Not Found\r\n[^]*No such container: zzz/);
  await engine.ok('create', '--name', 'late', 'busybox', 'echo', 'first byte');
  const socket = await open(
    'POST /v1.41/containers/late/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n',
  );
  const answer = all(socket);
  await eventually(
    'the attach event',
    async () =>
      (await engine.ok(
        'events',
        '--since',
        '1',
        '--until',
        String(Date.now() / 1000),
        '--filter',
        'event=attach',
        '--filter',
        'container=late',
      )) !== '',
  );
  await engine.ok('start', 'late');
  const text = (await answer).toString('latin1');
  assert.match(text, /application\/vnd\.docker\.raw-stream/);
  assert.ok(text.endsWith('\u0001\0\0\0\0\0\0\u000bfirst byte\n'), JSON.stringify(text));
  await engine.ok('rm', 'late');
});

test('logs and wait send their head before there is anything to say', async () => {
  for (const path of [
    '/containers/q1/logs?follow=1&stdout=1',
    '/containers/q1/wait?condition=next-exit',
    '/events',
  ]) {
    const method = path.includes('wait') ? 'POST' : 'GET';
    const status = await new Promise<number>((resolve, reject) => {
      const pending = request({ socketPath: engine.socket, method, path }, (response) => {
        resolve(response.statusCode ?? 0);
        pending.destroy();
      });
      pending.on('error', reject);
      pending.end();
    });
    assert.equal(status, 200);
  }
});

test('names of images may hold slashes, plain or encoded', async () => {
  await engine.ok('tag', 'busybox', 'localhost:5000/a/b:tag');
  assert.equal((await call('GET', '/images/localhost:5000/a/b:tag/json')).status, 200);
  assert.equal((await call('GET', '/images/localhost:5000%2Fa%2Fb:tag/json')).status, 200);
  assert.equal((await call('DELETE', '/images/localhost:5000/a/b:tag')).status, 200);
});

test('a refusal reaches a client that is still sending, and its connection stays of use', async () => {
  const refusals: readonly (readonly [string, string, number, number])[] = [
    ['PUT', '/containers/nope/archive?path=/', 1024 * 1024, 404],
    ['POST', '/containers/create', 8 * 1024 * 1024, 413],
  ];
  for (const [method, path, length, status] of refusals) {
    const socket = connect(engine.socket);
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const written = (bytes: string | Buffer): Promise<void> =>
      new Promise((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())));
    const first = Math.floor(length * 0.75);
    await written(
      `${method} ${path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`,
    );
    await written(Buffer.alloc(first, ' '));
    await eventually('the refusal', () => text.startsWith(`HTTP/1.1 ${status} `));
    await written(Buffer.alloc(length - first, ' '));
    await written('GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n');
    await eventually('the next answer', () => text.includes('HTTP/1.1 200 OK'));
    assert.deepEqual(errors, []);
    socket.destroy();
  }
});
