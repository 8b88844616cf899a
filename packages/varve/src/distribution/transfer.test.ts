import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openContentStore } from '../content/index.ts';
import { type Descriptor, digestOf } from '../oci/index.ts';
import { State } from '../state/index.ts';
import { RegistryClient } from './client.ts';
import { type FakeServer, fault, type Handler, serve, serveBlob } from './testing/fake-server.ts';
import { type DownloadOptions, downloadBlob } from './transfer.ts';

const data = randomBytes(500_000);
const blob: Descriptor = { mediaType: 'application/octet-stream', digest: digestOf(data), size: data.length };
const path = `/v2/app/blobs/${blob.digest}`;
const retry = { delay: 1 };

interface Bench {
  readonly registry: FakeServer;
  readonly store: ReturnType<typeof openContentStore>;
  readonly download: (options?: DownloadOptions) => Promise<void>;
}

/** A registry whose answer for the blob is `handler`'s, and a store to download it into. */
async function bench(context: TestContext, handler: Handler, silence?: number): Promise<Bench> {
  const registry = await serve(async (request, response, url) => {
    if (url.pathname === '/v2/') response.end('{}');
    else await handler(request, response, url);
  });
  const root = mkdtempSync('/var/tmp/varve-transfer-');
  const state = new State(join(root, 'state.db'));
  const client = new RegistryClient({ retry, ...(silence === undefined ? {} : { silence }) });
  context.after(async () => {
    await client.close();
    await registry[Symbol.asyncDispose]();
    state.close();
    rmSync(root, { recursive: true });
  });
  const store = openContentStore({ root, state });
  const repository = client.repository(`${registry.host}/app`);
  return {
    registry,
    store,
    download: (options) => downloadBlob(repository, blob, store, { retry, ...options }),
  };
}

test('downloads and verifies a blob, once', async (context) => {
  const { registry, store, download } = await bench(context, (request, response) =>
    serveBlob(request, response, data),
  );
  const seen: number[] = [];
  await download({ onProgress: (bytes) => seen.push(bytes) });
  await download();
  assert.equal(seen.at(-1), data.length);
  assert.ok(data.equals(await store.read(blob.digest)));
  assert.equal(registry.to(path).length, 1);
});

test('many callers share one download', async (context) => {
  const { registry, download } = await bench(context, (request, response) =>
    serveBlob(request, response, data),
  );
  await Promise.all(Array.from({ length: 20 }, () => download()));
  assert.equal(registry.to(path).length, 1);
});

test('goes on after every cut where it stopped', async (context) => {
  let sent = 0;
  const { registry, store, download } = await bench(context, (request, response) => {
    const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
    const end = Math.min(start + 61_000, data.length);
    sent += end - start;
    response.writeHead(start === 0 ? 200 : 206, {
      'content-length': data.length - start,
      ...(start === 0 ? {} : { 'content-range': `bytes ${start}-${data.length - 1}/${data.length}` }),
    });
    response.write(data.subarray(start, end), () => {
      if (end === data.length) response.end();
      else setImmediate(() => response.destroy());
    });
  });
  const waits: number[] = [];
  await download({ onRetry: (seconds) => waits.push(seconds) });
  assert.ok(data.equals(await store.read(blob.digest)));
  assert.ok(registry.to(path).length >= 9);
  assert.equal(waits.length, registry.to(path).length - 1);
  // What was on the wire when the cut came may be lost, the rest may not.
  assert.ok(sent <= data.length * 2, `${sent} bytes sent for ${data.length}`);
});

test('starts again when the registry ignores the range', async (context) => {
  let tries = 0;
  const { store, download } = await bench(context, (_request, response) => {
    response.writeHead(200, { 'content-length': data.length });
    if (++tries > 1) response.end(data);
    else response.write(data.subarray(0, 300_000), () => setImmediate(() => response.destroy()));
  });
  await download();
  assert.equal(tries, 2);
  assert.ok(data.equals(await store.read(blob.digest)));
});

const confusions: Readonly<Record<string, (response: Parameters<Handler>[1], start: number) => void>> = {
  'names another range': (response, start) =>
    void response
      .writeHead(206, { 'content-range': `bytes ${start + 1}-${data.length - 1}/${data.length}` })
      .end(data.subarray(start + 1)),
  'names another size': (response, start) =>
    void response
      .writeHead(206, { 'content-range': `bytes ${start}-${data.length}/${data.length + 1}` })
      .end(data.subarray(start)),
  'names no range': (response, start) => void response.writeHead(206).end(data.subarray(start)),
  'refuses the range': (response) => fault(response, 416, 'RANGE_INVALID'),
  'sends the whole as a part': (response, start) =>
    void response
      .writeHead(206, { 'content-range': `bytes ${start}-${data.length - 1}/${data.length}` })
      .end(data),
};

for (const [name, confuse] of Object.entries(confusions)) {
  test(`asks for the whole when the registry ${name}`, async (context) => {
    const { store, download } = await bench(context, (request, response) => {
      const start = /bytes=(\d+)/.exec(request.headers.range ?? '')?.[1];
      if (start === undefined) serveBlob(request, response, data);
      else confuse(response, Number(start));
    });
    const begun = await store.ingest(blob.digest, blob);
    await begun.write(data.subarray(0, 1000));
    await begun.close();
    await download();
    assert.ok(data.equals(await store.read(blob.digest)));
  });
}

test('replaces a part that turns out wrong', async (context) => {
  const { store, download } = await bench(context, (request, response) => serveBlob(request, response, data));
  const begun = await store.ingest(blob.digest, blob);
  await begun.write(randomBytes(1000));
  await begun.close();
  await download();
  assert.ok(data.equals(await store.read(blob.digest)));
});

test('refuses other bytes, fewer bytes and more bytes, and keeps none', async (context) => {
  let answer = Buffer.from(data);
  const { registry, store, download } = await bench(
    context,
    (_request, response) => void response.end(answer),
  );
  answer.writeUInt8(answer.readUInt8(7) ^ 1, 7);
  await assert.rejects(download(), { kind: 'data-loss', code: 'DIGEST_MISMATCH', subject: blob.digest });
  answer = Buffer.concat([data, Buffer.from('!')]);
  await assert.rejects(download(), { kind: 'data-loss', code: 'SIZE_MISMATCH' });
  assert.equal(registry.to(path).length, 2, 'wrong bytes are not asked for again');
  answer = data.subarray(0, 100);
  await assert.rejects(download(), { kind: 'unavailable', code: 'CONNECTION_LOST' });
  assert.equal(store.stat(blob.digest), undefined);
});

test('waits out busy and broken answers', async (context) => {
  const answers = [429, 503, 500, 502];
  const { registry, download } = await bench(context, (request, response) => {
    const status = answers.shift();
    if (status === undefined) serveBlob(request, response, data);
    else fault(response, status, 'TOOMANYREQUESTS', { 'retry-after': '0' });
  });
  await download();
  assert.equal(registry.to(path).length, 5);
});

test('gives up on a registry that stays broken, after a bounded number of tries', async (context) => {
  const { registry, download } = await bench(context, (_request, response) =>
    fault(response, 503, 'UNAVAILABLE'),
  );
  await assert.rejects(download(), { kind: 'unavailable' });
  assert.ok(registry.to(path).length <= 25, `${registry.to(path).length} requests`);
});

test('does not repeat what will not change', async (context) => {
  const { registry, download } = await bench(context, (_request, response) =>
    fault(response, 404, 'BLOB_UNKNOWN'),
  );
  await assert.rejects(download(), { kind: 'not-found', code: 'BLOB_UNKNOWN' });
  assert.equal(registry.to(path).length, 1);
});

test('takes a silent peer for gone', async (context) => {
  let tries = 0;
  const handler: Handler = (request, response) => {
    if (++tries > 1) return serveBlob(request, response, data);
    response.writeHead(200, { 'content-length': data.length });
    response.write(data.subarray(0, 1000));
  };
  const { download } = await bench(context, handler, 50);
  await download();
  assert.equal(tries, 2);
});

test('keeps what came when it is cancelled, and goes on from there', async (context) => {
  const controller = new AbortController();
  let cut = true;
  const { registry, store, download } = await bench(context, (request, response) => {
    if (!cut) return serveBlob(request, response, data);
    response.writeHead(200, { 'content-length': data.length });
    response.write(data.subarray(0, 200_000));
  });
  const running = download({
    signal: controller.signal,
    onProgress: (bytes) => {
      if (bytes === 200_000) controller.abort();
    },
  });
  await assert.rejects(running, { kind: 'cancelled' });
  assert.equal(store.stat(blob.digest), undefined);
  cut = false;
  await download();
  assert.equal(registry.to(path).at(-1)?.range, 'bytes=200000-');
});

test('takes data that stands in the descriptor', async (context) => {
  const { registry, store } = await bench(context, (_request, response) => fault(response, 500, 'UNKNOWN'));
  const inline = {
    mediaType: 'x/y',
    digest: digestOf('{}'),
    size: 2,
    data: Buffer.from('{}').toString('base64'),
  };
  await using client = new RegistryClient();
  await downloadBlob(client.repository(`${registry.host}/app`), inline, store);
  assert.equal(String(await store.read(inline.digest)), '{}');
});
