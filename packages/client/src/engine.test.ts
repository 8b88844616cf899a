import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { Engine, EngineError, parseAddress } from './index.ts';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let folder: string;
let server: Server;
let engine: Engine;
let seen: Seen[];
let routes: Record<string, RequestListener>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varve-client-'));
  seen = [];
  routes = {};
  server = createServer((request, response) => {
    const url = request.url ?? '';
    const route = routes[`${request.method} ${url.replace(/\?.*$/, '').replace(/^\/v1\.\d+/, '')}`];
    if (url === '/_ping') {
      response.setHeader('api-version', '1.45').setHeader('ostype', 'linux').end('OK');
    } else if (route) route(request, response);
    else {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        seen.push({ method: request.method ?? '', url, headers: request.headers, body });
        response.setHeader('content-type', 'application/json').end('{}');
      });
    }
  });
  server.listen(join(folder, 'engine.sock'));
  await once(server, 'listening');
  engine = new Engine({ host: `unix://${join(folder, 'engine.sock')}` });
});

afterEach(async () => {
  engine.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

const frame = (stream: number, text: string): Buffer => {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

/** Answers an upgrade with 101 and hands over the socket. */
function upgrade(serve: (socket: Socket, request: IncomingMessage, head: Buffer) => void): void {
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
    serve(socket, request, head),
  );
}
const switching = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';

test('speaks the older version of both sides, and asks once', async () => {
  await engine.info();
  await engine.version();
  assert.deepEqual(
    seen.map(({ url }) => url),
    ['/v1.45/info', '/v1.45/version'],
  );
  const fixed = new Engine({ host: `unix://${join(folder, 'engine.sock')}`, version: '1.30' });
  await fixed.info();
  assert.equal(seen[2]?.url, '/v1.30/info');
  fixed.close();
});

test('sends queries, lists, filters and JSON as the API wants them', async () => {
  await engine.containers.list({ all: true, filters: { label: ['a=b'] } });
  await engine.containers.create({ Image: 'busybox', Cmd: ['true'] }, { name: 'c1' });
  await engine.images.remove('localhost:5000/a/b:1?x', { force: true });
  await engine.containers.commit('c1', { repo: 'r', changes: ['CMD a', 'ENV b=c'] });
  const [list, create, remove, commit] = seen;
  assert.equal(
    list?.url,
    `/v1.45/containers/json?all=true&filters=${encodeURIComponent('{"label":["a=b"]}')}`,
  );
  assert.equal(create?.url, '/v1.45/containers/create?name=c1');
  assert.equal(create?.headers['content-type'], 'application/json');
  assert.deepEqual(JSON.parse(create?.body ?? ''), { Image: 'busybox', Cmd: ['true'] });
  assert.equal(remove?.url, '/v1.45/images/localhost:5000/a/b:1%3Fx?force=true');
  assert.equal(commit?.url, '/v1.45/commit?container=c1&repo=r&changes=CMD+a&changes=ENV+b%3Dc');
});

test('turns a failed call into an error with status, message and call', async () => {
  routes['GET /containers/x/json'] = (_request, response) => {
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"No such container: x"}');
  };
  await assert.rejects(engine.containers.inspect('x'), (error) => {
    assert.ok(EngineError.is(error, 404));
    assert.equal(error.message, 'No such container: x');
    assert.equal(error.call, 'GET /containers/x/json');
    return true;
  });
  routes['POST /containers/x/start'] = (_request, response) => response.writeHead(304).end();
  assert.equal(await engine.containers.start('x'), false);
  const none = new Engine({ host: `unix://${folder}/none.sock` });
  await assert.rejects(none.info(), {
    status: 0,
    message: /^Cannot connect to the engine at unix:.*none\.sock/,
  });
});

test('asks for the version again after the engine was away', async () => {
  const late = new Engine({ host: `unix://${folder}/late.sock` });
  await assert.rejects(late.info(), { status: 0 });
  const second = createServer((_request, response) => response.setHeader('api-version', '1.44').end('{}'));
  second.listen(`${folder}/late.sock`);
  await once(second, 'listening');
  assert.deepEqual(await late.info(), {});
  late.close();
  await new Promise((resolve) => second.close(resolve));
});

test('reads JSON lines however they are cut, and throws the error that one carries', async () => {
  const text =
    '{"status":"Pülling"}\n\n{"status":"done"}\r\n{"errorDetail":{"message":"no space"},"error":"no"}\n';
  routes['POST /images/create'] = (_request, response) => {
    for (const byte of Buffer.from(text)) response.write(Buffer.from([byte]));
    response.end();
  };
  const said: (string | undefined)[] = [];
  await assert.rejects(
    async () => {
      for await (const { status } of engine.images.pull({ image: 'busybox', tag: 'latest' }))
        said.push(status);
    },
    { name: 'EngineError', message: 'no space' },
  );
  assert.deepEqual(said, ['Pülling', 'done']);
  routes['POST /images/create'] = (_request, response) => response.end('oops\n');
  await assert.rejects(async () => {
    for await (const _ of engine.images.pull({ image: 'busybox', tag: 'latest' }));
  }, /not JSON: oops/);
});

test('takes logs apart however their frames are cut', async () => {
  const bytes = Buffer.concat([frame(1, 'out'), frame(2, 'err'), frame(1, ''), frame(0, 'echo')]);
  for (const step of [1, 3, 7, 100]) {
    routes['GET /containers/x/logs'] = (_request, response) => {
      for (let at = 0; at < bytes.length; at += step) response.write(bytes.subarray(at, at + step));
      response.end();
    };
    const output: Record<number, string> = {};
    for await (const { stream, data } of engine.containers.logs('x', { tty: false })) {
      output[stream] = (output[stream] ?? '') + data.toString();
    }
    assert.deepEqual(output, { 1: 'outecho', 2: 'err' }, `in steps of ${step}`);
  }
});

test('attaches: early output, stdin, half-close, and the end', async () => {
  upgrade((socket, request) => {
    assert.match(
      request.url ?? '',
      /^\/v1\.45\/containers\/x\/attach\?stream=true&stdout=true&stderr=true&stdin=true$/,
    );
    // The 101 and the first frame in one packet.
    socket.write(Buffer.concat([Buffer.from(switching), frame(1, 'first ')]));
    let input = '';
    socket.on('data', (chunk: Buffer) => {
      input += chunk.toString();
    });
    socket.on('end', () => socket.end(frame(1, `got ${input}`)));
  });
  const { socket, output } = await engine.containers.attach('x', { tty: false, stdin: true });
  socket.end('typed');
  let text = '';
  for await (const { data } of output) text += data.toString();
  assert.equal(text, 'first got typed');
});

test('starts an exec with its body, and gives raw output for a terminal', async () => {
  const bodies: string[] = [];
  upgrade((socket, request, head) => {
    bodies.push(head.toString());
    socket.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
    request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
    socket.write(switching);
    socket.end('raw \u0001\u0000 bytes');
  });
  const { output } = await engine.containers.startExec('e1', { tty: true });
  let text = '';
  for await (const { data } of output) text += data.toString();
  assert.equal(text, 'raw \u0001\u0000 bytes');
  assert.deepEqual(JSON.parse(bodies.join('')), { Detach: false, Tty: true });
});

test('takes a refused upgrade as the error it is, and an answer without upgrade as the stream', async () => {
  upgrade((socket) =>
    socket.end(
      'HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{"message":"not running"}',
    ),
  );
  await assert.rejects(engine.containers.attach('x', { tty: false }), {
    status: 409,
    message: 'not running',
  });
  server.removeAllListeners('upgrade');
  routes['POST /containers/x/attach'] = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.docker.raw-stream' });
    response.end(frame(2, 'old'));
  };
  const { output } = await engine.containers.attach('x', { tty: false });
  const pieces = [];
  for await (const piece of output) pieces.push(`${piece.stream} ${piece.data.toString()}`);
  assert.deepEqual(pieces, ['2 old']);
});

test('ends a call, a stream and a taken-over connection with the signal, for its reason', async () => {
  routes['GET /events'] = (_request, response) => void response.write('{"Type":"container"}\n');
  routes['GET /info'] = () => undefined;
  const closed: string[] = [];
  upgrade((socket) => {
    socket.on('error', () => undefined);
    // Half-open is allowed on a hijacked connection: the engine sees the end and closes its side.
    socket.on('end', () => {
      closed.push('attach');
      socket.end();
    });
    socket.resume();
    socket.write(switching);
  });
  const controller = new AbortController();
  const { signal } = controller;
  const events = engine.events({ signal });
  assert.equal((await events.next()).value?.Type, 'container');
  const info = engine.info({ signal });
  const { output } = await engine.containers.attach('x', { tty: true, signal });
  const streaming = (async () => {
    for await (const _ of output);
  })();
  controller.abort(new Error('enough'));
  await assert.rejects(info, /enough/);
  await assert.rejects(events.next(), /enough/);
  await assert.rejects(streaming, /enough/);
  await assert.rejects(engine.version({ signal }), /enough/);
  const deadline = Date.now() + 60_000;
  while (closed.length === 0 && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(closed, ['attach']);
});

test('closes the connection of an iteration that is left early', async () => {
  const closed = new Promise<void>((resolve) => {
    routes['GET /events'] = (request, response) => {
      request.socket.once('close', () => resolve());
      response.write('{"Type":"image"}\n');
    };
  });
  for await (const event of engine.events()) {
    assert.equal(event.Type, 'image');
    break;
  }
  await closed;
});

test('sends a tar as a stream, and gives the answer that comes before its end', async () => {
  await engine.containers.putArchive('x', '/dir', Readable.from([Buffer.from('ab'), Buffer.from('cd')]), {
    noOverwriteDirNonDir: true,
  });
  assert.equal(seen[0]?.body, 'abcd');
  assert.equal(seen[0]?.headers['transfer-encoding'], 'chunked');
  assert.equal(seen[0]?.url, '/v1.45/containers/x/archive?path=%2Fdir&noOverwriteDirNonDir=true');
  routes['POST /build'] = (request, response) => {
    request.once('data', () => {
      response.writeHead(400, { connection: 'close' }).end('{"message":"no Dockerfile"}');
    });
  };
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(65_536);
    })(),
  );
  await assert.rejects(
    async () => {
      for await (const _ of engine.images.build(endless));
    },
    { status: 400, message: 'no Dockerfile' },
  );
  assert.ok(endless.destroyed);
});

test('repeats a call whose idle connection the engine had closed', async () => {
  await engine.info();
  let dropped = 0;
  const drop: RequestListener = (request) => {
    dropped++;
    routes = {};
    request.socket.destroy();
  };
  routes['GET /version'] = drop;
  await engine.version();
  assert.equal(dropped, 1);
});

test('waits for an exit code, and reads the stat of a path', async () => {
  routes['POST /containers/x/wait'] = (_request, response) => {
    response.flushHeaders();
    setImmediate(() => response.end('{"StatusCode":3}'));
  };
  let ready = false;
  const { StatusCode } = await engine.containers.wait('x', {
    condition: 'next-exit',
    onReady: () => {
      ready = true;
    },
  });
  assert.deepEqual([StatusCode, ready], [3, true]);
  const stat = {
    name: 'etc',
    size: 4096,
    mode: 2_147_484_141,
    mtime: '2026-01-01T00:00:00Z',
    linkTarget: '',
  };
  routes['HEAD /containers/x/archive'] = (_request, response) => {
    response
      .setHeader('x-docker-container-path-stat', Buffer.from(JSON.stringify(stat)).toString('base64'))
      .end();
  };
  assert.deepEqual(await engine.containers.statPath('x', '/etc'), stat);
});

test('reads addresses of engines', () => {
  assert.deepEqual(parseAddress('unix:///run/x.sock'), { socketPath: '/run/x.sock' });
  assert.deepEqual(parseAddress('tcp://127.0.0.1:1234'), { host: '127.0.0.1', port: 1234 });
  assert.deepEqual(parseAddress('http://[::1]'), { host: '::1', port: 2375 });
  for (const host of ['', 'ssh://x', 'unix://', 'tcp://'])
    assert.throws(() => parseAddress(host), EngineError);
});
