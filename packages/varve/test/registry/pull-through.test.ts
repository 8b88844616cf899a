import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Descriptor, digestHex, digestOf, mediaTypes } from '../../src/oci/index.ts';
import type { RegistryConfigInput } from '../../src/registry/index.ts';
import {
  encode,
  eventually,
  imageManifest,
  startTestRegistry,
  TestClient,
  type TestRegistry,
  temporaryRoot,
} from '../../src/registry/testing/index.ts';
import { type HeldRelay, startHeldRelay } from './held-relay.ts';
import { startDockerRegistry } from './programs.ts';

const module = resolve(import.meta.dirname, '../../../../examples/storage-backend/sqlite-backend.mjs');

interface Pair {
  /** The other registry, asked straight. */
  readonly back: TestClient;
  /** Where the blobs of our own kind of it are; undefined of another. */
  readonly backRoot: string;
  readonly relay: HeldRelay;
  readonly front: TestRegistry;
}

async function startPair(
  t: TestContext,
  kind: 'varve' | 'docker-registry',
  config: RegistryConfigInput = {},
): Promise<Pair> {
  const backRoot = temporaryRoot(t);
  const url =
    kind === 'varve'
      ? (await startTestRegistry(t, {}, { root: backRoot })).url
      : (await startDockerRegistry(t, backRoot)).url;
  const back = new TestClient(url);
  const relay = await startHeldRelay(t, url);
  const front = await startTestRegistry(t, {
    ...config,
    proxy: { upstreams: [{ prefix: 'up', remoteurl: relay.url, checkinterval: '0s' }] },
  });
  return { back, backRoot, relay, front };
}

/** Pushes an image with this layer to the other registry, pulls its manifest through, and returns the layer's path. */
async function pushThrough({ back, front }: Pair, bytes: Buffer, repository = 'app'): Promise<string> {
  const layer = await pushBlob(back, repository, bytes);
  const config = await pushBlob(back, repository, encode({ layer }), mediaTypes.ociConfig);
  assert.equal((await back.putManifest(repository, 'v1', imageManifest(config, [layer]))).status, 201);
  assert.equal((await front.call('GET', `/v2/up/${repository}/manifests/v1`)).status, 200);
  return `/v2/up/${repository}/blobs/${layer.digest}`;
}

/** In two requests, since docker-registry takes no blob in one. */
async function pushBlob(
  client: TestClient,
  repository: string,
  bytes: Buffer,
  mediaType: string = mediaTypes.ociLayer,
): Promise<Descriptor> {
  const digest = digestOf(bytes);
  const upload = await client.startUpload(repository);
  const separator = upload.includes('?') ? '&' : '?';
  const answer = await client.call('PUT', `${upload}${separator}digest=${digest}`, {
    body: bytes,
    headers: { 'Content-Type': 'application/octet-stream' },
  });
  assert.equal(answer.status, 201, answer.body.toString());
  return { mediaType, digest, size: bytes.length };
}

/** A client that reads as it is told. */
class Reader {
  readonly #answer: IncomingMessage;
  readonly #chunks: Buffer[] = [];
  received = 0;
  /** The body; rejects when the connection ends before the length that was promised. */
  readonly body: Promise<Buffer>;

  constructor(answer: IncomingMessage) {
    this.#answer = answer;
    this.body = new Promise((onEnd, onError) => {
      answer.once('end', () => onEnd(Buffer.concat(this.#chunks)));
      answer.once('error', onError);
    });
    this.body.catch(() => undefined);
  }

  static async open(url: string, path: string, headers: Record<string, string> = {}): Promise<Reader> {
    return await new Promise((onAnswer, onError) => {
      const outgoing = request(`${url}${path}`, { headers, agent: false }, (answer) => {
        onAnswer(new Reader(answer));
      });
      outgoing.once('error', onError);
      outgoing.end();
    });
  }

  get status(): number | undefined {
    return this.#answer.statusCode;
  }

  read(): this {
    this.#answer.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.received += chunk.length;
    });
    return this;
  }

  leave(): void {
    this.#answer.destroy();
  }
}

function uploadsOf({ root }: TestRegistry): string[] {
  return readdirSync(join(root, 'uploads'));
}

for (const [name, kind, storage] of [
  ['from a registry of ours', 'varve', {}],
  ['from Debian’s docker-registry', 'docker-registry', {}],
  ['into an object store', 'varve', { module }],
] as const) {
  test(`gives a blob to all who ask while it is still being fetched, ${name}`, async (t) => {
    const file = join(temporaryRoot(t), 'blobs.db');
    const own: RegistryConfigInput =
      'module' in storage ? { storage: { ...storage, options: { file } } } : {};
    const pair = await startPair(t, kind, own);
    const { front, relay } = pair;
    const bytes = randomBytes(12_000_000);
    const path = await pushThrough(pair, bytes);
    relay.heldAt = 10_000_000;
    const early = (await Reader.open(front.url, path)).read();
    await eventually(() => early.received > 0, 'a first byte');
    const late = (await Reader.open(front.url, path)).read();
    const resumed = (await Reader.open(front.url, path, { Range: 'bytes=9000000-' })).read();
    await eventually(
      () => early.received === 10_000_000 && late.received === 10_000_000 && resumed.received === 1_000_000,
      'all that has come',
    );
    assert.equal(resumed.status, 206);
    const middle = Reader.open(front.url, path, { Range: 'bytes=5-104' });
    relay.release();
    assert.ok(bytes.equals(await early.body));
    assert.ok(bytes.equals(await late.body));
    assert.ok(bytes.subarray(9_000_000).equals(await resumed.body));
    assert.ok(bytes.subarray(5, 105).equals(await (await middle).read().body));
    assert.equal(relay.asked.length, 1);
    assert.ok(bytes.equals((await front.call('GET', path)).body));
    assert.equal(relay.asked.length, 1);
  });
}

test('stores a blob whose clients have left, and waits for none that does not read', async (t) => {
  const pair = await startPair(t, 'varve');
  const { front, relay } = pair;
  const bytes = randomBytes(40_000_000);
  const path = await pushThrough(pair, bytes);
  relay.heldAt = 1_000_000;
  const leaving = (await Reader.open(front.url, path)).read();
  const idle = await Reader.open(front.url, path);
  await eventually(() => leaving.received === 1_000_000, 'what has come');
  leaving.leave();
  relay.release();
  const whole = async (): Promise<boolean> =>
    (await front.registry.maintenance.scrub({})).blobs >= 1 && uploadsOf(front).length === 0;
  await eventually(whole, 'the blob is stored');
  assert.ok(bytes.equals((await front.call('GET', path)).body));
  assert.ok(bytes.equals(await idle.read().body));
  assert.equal(relay.asked.length, 1);
});

test('cuts its clients off from a blob that turns out wrong, and keeps nothing of it', async (t) => {
  const pair = await startPair(t, 'varve');
  const { front, relay, backRoot } = pair;
  const bytes = randomBytes(3_000_000);
  const path = await pushThrough(pair, bytes);
  const hex = digestHex(digestOf(bytes));
  const wrong = Buffer.from(bytes);
  wrong.writeUInt8(wrong.readUInt8(2_999_999) ^ 1, 2_999_999);
  writeFileSync(join(backRoot, 'blobs/sha256', hex.slice(0, 2), hex), wrong);
  relay.heldAt = 2_000_000;
  const reader = (await Reader.open(front.url, path)).read();
  // Its head comes with its first byte, which is not here yet.
  const tail = Reader.open(front.url, path, { Range: 'bytes=2999990-' });
  tail.catch(() => undefined);
  await eventually(() => reader.received === 2_000_000, 'what has come');
  const middle = Reader.open(front.url, path, { Range: 'bytes=0-9' });
  relay.release();
  await assert.rejects(reader.body, { code: 'ECONNRESET' });
  await assert.rejects(async () => (await tail).read().body, { code: 'ECONNRESET' });
  assert.ok(reader.received < bytes.length);
  assert.equal((await middle).status, 503);
  await eventually(() => uploadsOf(front).length === 0, 'nothing is left');
  assert.deepEqual(readdirSync(join(front.root, 'blobs'), { recursive: true }), []);
  // Whole again there, it comes here.
  writeFileSync(join(backRoot, 'blobs/sha256', hex.slice(0, 2), hex), bytes);
  assert.ok(bytes.equals((await front.call('GET', path)).body));
});

test('refuses a blob over the quota before its first byte, and asks nobody for it', async (t) => {
  const pair = await startPair(t, 'varve', { quotas: [{ namespace: 'up', bytes: '1MB' }] });
  const path = await pushThrough(pair, randomBytes(2_000_000));
  assert.deepEqual((await pair.front.call('GET', path)).codes(), ['DENIED']);
  assert.deepEqual(pair.relay.asked, []);
});

test('a repository gets a blob that is on its way into another only when its own source has it', async (t) => {
  const pair = await startPair(t, 'varve');
  const { front, relay, back } = pair;
  const bytes = randomBytes(1_000_000);
  const path = await pushThrough(pair, bytes);
  const other = await pushThrough(pair, bytes, 'other');
  const foreign = 'application/vnd.oci.image.layer.nondistributable.v1.tar';
  const config = await back.pushBlob('thief', encode({}), mediaTypes.ociConfig);
  const layer = { mediaType: foreign, digest: digestOf(bytes), size: bytes.length };
  assert.equal((await back.putManifest('thief', 'v1', imageManifest(config, [layer]))).status, 201);
  assert.equal((await front.call('GET', '/v2/up/thief/manifests/v1')).status, 200);
  relay.heldAt = 500_000;
  const reader = (await Reader.open(front.url, path)).read();
  await eventually(() => reader.received === 500_000, 'what has come');
  const thief = front.call('GET', `/v2/up/thief/blobs/${layer.digest}`);
  const owner = front.call('GET', other);
  relay.release();
  assert.equal((await thief).status, 404);
  assert.ok(bytes.equals((await owner).body));
  assert.ok(bytes.equals(await reader.body));
});

test('stops with blobs on their way, and begins them again', async (t) => {
  const pair = await startPair(t, 'varve');
  const { front, relay, back } = pair;
  const bytes = randomBytes(2_000_000);
  const path = await pushThrough(pair, bytes);
  relay.heldAt = 1_000_000;
  const reader = (await Reader.open(front.url, path)).read();
  await eventually(() => reader.received === 1_000_000, 'what has come');
  reader.leave();
  await front.registry.close();
  assert.deepEqual(uploadsOf(front), []);
  const again = await startTestRegistry(
    t,
    { proxy: { upstreams: [{ prefix: 'up', remoteurl: back.url }] } },
    { root: front.root },
  );
  assert.ok(bytes.equals((await again.call('GET', path)).body));
});

for (const kind of ['varve', 'docker-registry'] as const) {
  test(`lists the referrers that ${kind === 'varve' ? 'the other registry' : 'docker-registry, by their tag,'} has`, async (t) => {
    const { back, front } = await startPair(t, kind);
    const config = await pushBlob(back, 'app', encode({}), mediaTypes.ociConfig);
    const image = encode(imageManifest(config, []));
    await back.putManifest('app', 'v1', image);
    const subject = { mediaType: mediaTypes.ociManifest, digest: digestOf(image), size: image.length };
    const referrers: Descriptor[] = [];
    for (const artifactType of ['application/vnd.a', 'application/vnd.b']) {
      const bytes = encode(imageManifest(config, [], { subject, artifactType }));
      const digest = digestOf(bytes);
      assert.equal((await back.putManifest('app', digest, bytes)).status, 201);
      referrers.push({ mediaType: mediaTypes.ociManifest, digest, size: bytes.length, artifactType });
    }
    if (kind === 'docker-registry') {
      // It has no such list: clients keep one under a tag.
      const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: referrers };
      await back.putManifest('app', subject.digest.replace(':', '-'), index, mediaTypes.ociIndex);
    }
    const list = async (query = ''): Promise<string[]> => {
      const answer = await front.call('GET', `/v2/up/app/referrers/${subject.digest}${query}`);
      assert.equal(answer.status, 200);
      return (answer.json() as { manifests: Descriptor[] }).manifests.map(({ digest }) => digest);
    };
    const all = referrers.map(({ digest }) => digest).toSorted();
    assert.deepEqual(await list(), all);
    assert.deepEqual(await list('?artifactType=application/vnd.b'), [referrers[1]?.digest]);
    assert.deepEqual(await list(`?last=${all[0]}`), [all[1]]);
    assert.equal((await front.call('GET', `/v2/up/app/manifests/${all[0]}`)).status, 200);
  });
}

test('lists the referrers that it heard of when the other registry is away, or those that are here', async (t) => {
  const back = await startTestRegistry(t);
  const upstream = { proxy: { upstreams: [{ prefix: 'up', remoteurl: back.url, checkinterval: '0s' }] } };
  const front = await startTestRegistry(t, upstream);
  const image = await back.pushImage('app', 'v1', 'content');
  const subject = { mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length };
  const signature = await back.pushImage('app', 'signature', 'signature', { subject });
  const unpulled = await back.pushImage('app', 'unpulled', 'unpulled', { subject });
  await front.call('GET', '/v2/up/app/manifests/v1');
  await front.call('GET', '/v2/up/app/manifests/signature');
  const list = async (client: TestClient): Promise<string[]> => {
    const answer = await client.call('GET', `/v2/up/app/referrers/${image.digest}`);
    return (answer.json() as { manifests: Descriptor[] }).manifests.map(({ digest }) => digest);
  };
  const both = [signature.digest, unpulled.digest].toSorted();
  assert.deepEqual(await list(front), both);
  await back.registry.close();
  assert.deepEqual(await list(front), both);
  await front.registry.close();
  const again = await startTestRegistry(t, upstream, { root: front.root });
  assert.deepEqual(await list(again), [signature.digest]);
});
