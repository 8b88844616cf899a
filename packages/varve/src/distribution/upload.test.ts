import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { digestOf } from '../oci/index.ts';
import { RegistryClient } from './client.ts';
import { type FakeServer, fault, readBody, serve } from './testing/fake-server.ts';

const data = randomBytes(400_000);
const blob = { digest: digestOf(data), size: data.length };

async function* pieces(start: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < data.length; at += 10_000) yield data.subarray(at, at + 10_000);
}

interface Uploads {
  readonly server: FakeServer;
  readonly starts: readonly number[];
  /** The blob, when it is complete. */
  readonly stored: () => Buffer | undefined;
}

/** A registry that cuts the first `cuts` uploads after 150,000 bytes; `resumes` tells whether it remembers them. */
async function flakyRegistry(cuts: number, resumes: boolean): Promise<Uploads> {
  let left = cuts;
  let kept = Buffer.alloc(0);
  let stored: Buffer | undefined;
  let sessions = 0;
  const starts: number[] = [];
  const server = await serve(async (request, response, url) => {
    if (url.pathname === '/v2/') return void response.end('{}');
    if (request.method === 'POST') {
      kept = Buffer.alloc(0);
      return void response.writeHead(202, { location: `/v2/app/blobs/uploads/${++sessions}?state=a` }).end();
    }
    if (request.method === 'GET') {
      if (!resumes) return fault(response, 404, 'BLOB_UPLOAD_UNKNOWN');
      const headers = { location: `${url.pathname}?state=b`, range: `0-${kept.length - 1}` };
      return void response.writeHead(204, headers).end();
    }
    const start = Number(/^(\d+)-/.exec(String(request.headers['content-range']))?.[1] ?? 0);
    starts.push(start);
    if (start !== kept.length) return fault(response, 416, 'RANGE_INVALID');
    if (left-- <= 0) {
      stored = Buffer.concat([kept, await readBody(request)]);
      const good =
        digestOf(stored) === url.searchParams.get('digest') &&
        Number(request.headers['content-length']) === stored.length - start;
      return good ? void response.writeHead(201).end() : fault(response, 400, 'DIGEST_INVALID');
    }
    for await (const part of request) {
      kept = Buffer.concat([kept, part as Buffer]);
      if (kept.length - start >= 150_000) break;
    }
    request.socket.destroy();
  });
  return { server, starts, stored: () => stored };
}

test('goes on with an upload after a cut where the registry stopped', async () => {
  const registry = await flakyRegistry(2, true);
  await using server = registry.server;
  await using client = new RegistryClient({ retry: { delay: 1 } });
  const opened: number[] = [];
  await client.repository(`${server.host}/app`).putBlob(blob, (start) => {
    opened.push(start);
    return pieces(start);
  });
  assert.deepEqual(registry.stored(), data);
  assert.equal(registry.starts.length, 3);
  assert.ok((registry.starts[1] ?? 0) >= 150_000 && (registry.starts[2] ?? 0) > (registry.starts[1] ?? 0));
  assert.deepEqual(opened, registry.starts);
  assert.equal(server.seen.filter(({ method }) => method === 'POST').length, 1);
});

test('starts an upload anew when the registry forgot it', async () => {
  const registry = await flakyRegistry(2, false);
  await using server = registry.server;
  await using client = new RegistryClient({ retry: { delay: 1 } });
  await client.repository(`${server.host}/app`).putBlob(blob, pieces);
  assert.deepEqual(registry.stored(), data);
  assert.deepEqual(registry.starts, [0, 0, 0]);
});

test('gives up on uploads that never get on', async () => {
  const registry = await flakyRegistry(1000, false);
  await using server = registry.server;
  await using client = new RegistryClient({ retry: { delay: 1, attempts: 3 } });
  await assert.rejects(client.repository(`${server.host}/app`).putBlob(blob, pieces), {
    code: 'CONNECTION_LOST',
  });
  assert.equal(registry.starts.length, 3);
});

test('stops when it is cancelled', async () => {
  await using server = await serve((request, response) => {
    if (request.method === 'POST') response.writeHead(202, { location: '/up' }).end();
    else if (request.method === 'GET') response.end('{}');
  });
  await using client = new RegistryClient({ retry: { delay: 1 } });
  const controller = new AbortController();
  const running = client.repository(`${server.host}/app`).putBlob(
    blob,
    async function* () {
      yield data.subarray(0, 10);
      controller.abort();
      yield data.subarray(10);
    },
    { signal: controller.signal },
  );
  await assert.rejects(running, { kind: 'cancelled' });
  assert.ok(server.to('/up').length <= 1);
});

test('does not hide an error of the source', async () => {
  await using server = await serve(async (request, response) => {
    if (request.method === 'POST') response.writeHead(202, { location: '/up' }).end();
    else if (request.method === 'GET') response.end('{}');
    else await readBody(request);
  });
  await using client = new RegistryClient({ retry: { delay: 1 } });
  const running = client.repository(`${server.host}/app`).putBlob(blob, async function* () {
    yield data.subarray(0, 10);
    throw new Error('the disk broke');
  });
  await assert.rejects(running, { kind: 'internal', message: 'the disk broke' });
});
