import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Digest, digestHex, digestOf, mediaTypes } from '../../oci/index.ts';
import { encode, eventually, imageManifest, indexManifest, startTestRegistry } from '../testing/index.ts';

const now = { graceMs: 0 };

test('keeps what images need and removes what nothing names', async (t) => {
  const { call, registry, ...client } = bind(await startTestRegistry(t));
  const kept = await client.pushImage('a', 'v1', 'kept');
  const dropped = await client.pushImage('a', 'v2', 'dropped');
  const loose = await client.pushBlob('a', Buffer.from('loose'));
  await call('DELETE', `/v2/a/manifests/${dropped.digest}`);
  const report = await registry.collectGarbage(now);
  assert.equal(report.links, 3);
  assert.equal(report.blobs.length, 3);
  assert.ok(report.blobs.includes(loose.digest) && report.blobs.includes(dropped.layer.digest));
  assert.equal((await call('GET', `/v2/a/blobs/${kept.layer.digest}`)).body.toString(), 'kept');
  assert.equal((await call('HEAD', `/v2/a/blobs/${dropped.layer.digest}`)).status, 404);
  assert.deepEqual((await registry.collectGarbage(now)).blobs, []);
});

test('leaves to one repository what another no longer needs', async (t) => {
  const { call, registry, ...client } = bind(await startTestRegistry(t));
  const image = await client.pushImage('a', 'v1', 'shared');
  await client.pushBlob('b', Buffer.from('shared'));
  const report = await registry.collectGarbage(now);
  assert.deepEqual([report.links, report.blobs], [1, []]);
  assert.equal((await call('HEAD', `/v2/b/blobs/${image.layer.digest}`)).status, 404);
  assert.equal((await call('HEAD', `/v2/a/blobs/${image.layer.digest}`)).status, 200);
});

test('leaves young blobs to the push they are part of', async (t) => {
  const { call, registry, ...client } = bind(await startTestRegistry(t));
  const loose = await client.pushBlob('a', Buffer.from('loose'));
  const report = await registry.collectGarbage({ graceMs: 60_000 });
  assert.deepEqual(report.blobs, []);
  assert.equal((await call('HEAD', `/v2/a/blobs/${loose.digest}`)).status, 200);
});

test('keeps untagged manifests unless asked, and then those that something leads to', async (t) => {
  const { call, registry, ...client } = bind(await startTestRegistry(t));
  const child = await client.pushImage('a', 'child', 'child');
  const old = await client.pushImage('a', 'old', 'old');
  const index = indexManifest([
    { mediaType: mediaTypes.ociManifest, digest: child.digest, size: child.bytes.length },
  ]);
  await client.putManifest('a', 'all', index, mediaTypes.ociIndex);
  const config = await client.pushBlob('a', Buffer.from('{}'));
  const signature = (subject: typeof child) =>
    encode(
      imageManifest(config, [], {
        subject: { mediaType: mediaTypes.ociManifest, digest: subject.digest, size: subject.bytes.length },
      }),
    );
  const [kept, gone] = [signature(child), signature(old)];
  for (const bytes of [kept, gone]) await client.putManifest('a', digestOf(bytes), bytes);
  for (const tag of ['child', 'old']) await call('DELETE', `/v2/a/manifests/${tag}`);

  assert.equal((await registry.collectGarbage(now)).manifests, 0);
  assert.equal((await registry.collectGarbage({ ...now, untagged: true })).manifests, 2);
  const found = async (digest: string) => (await call('HEAD', `/v2/a/manifests/${digest}`)).status;
  assert.deepEqual([await found(child.digest), await found(digestOf(kept))], [200, 200]);
  assert.deepEqual([await found(old.digest), await found(digestOf(gone))], [404, 404]);
});

test('removes bytes that a crash left without a record', async (t) => {
  const { registry, root } = bind(await startTestRegistry(t));
  const digest = digestOf('orphan');
  const hex = digestHex(digest);
  const folder = join(root, 'blobs', 'sha256', hex.slice(0, 2));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, hex), 'orphan');
  const full = { graceMs: 60_000, full: true };
  assert.deepEqual((await registry.collectGarbage(full)).blobs, []);
  utimesSync(join(folder, hex), 1, 1);
  const report = await registry.collectGarbage(full);
  assert.deepEqual([report.blobs, report.bytes], [[digest], 6]);
});

test('never takes a blob from a manifest that was taken, however hard it collects', async (t) => {
  const { call, registry, ...client } = bind(await startTestRegistry(t));
  const stop = new AbortController();
  const collector = (async () => {
    while (!stop.signal.aborted) await registry.collectGarbage({ graceMs: 30, untagged: true });
  })();
  let refused = 0;
  const push = async (repository: string, content: string): Promise<Digest> => {
    // With so short a grace a blob may go before its manifest comes: the push is then refused, and made again.
    for (;;) {
      const config = await client.pushBlob(repository, Buffer.from('{}'), mediaTypes.ociConfig);
      const layer = await client.pushBlob(repository, Buffer.from(content));
      const manifest = encode(imageManifest(config, [layer]));
      const answer = await client.putManifest(repository, 'latest', manifest);
      if (answer.status === 201) return digestOf(manifest);
      assert.deepEqual(new Set(answer.codes()), new Set(['MANIFEST_BLOB_UNKNOWN']));
      refused++;
    }
  };
  const pushers = [0, 1, 2].map(async (lane) => {
    for (let round = 0; round < 10; round++) {
      // The same layers again and again: they are deleted and written anew all the while.
      const content = `layer of round ${round % 3}`;
      const digest = await push(`a${lane}`, content);
      const answer = await call('GET', `/v2/a${lane}/blobs/${digestOf(content)}`);
      assert.equal(answer.body.toString(), content);
      await call('DELETE', `/v2/a${lane}/manifests/${digest}`);
    }
  });
  await Promise.all(pushers).finally(() => stop.abort());
  await collector;
  t.diagnostic(`${refused} pushes made again`);
});

test('collects by itself at the interval of the configuration', async (t) => {
  const { call, ...client } = bind(
    await startTestRegistry(t, { storage: { maintenance: { collect: { interval: '100ms', grace: '0s' } } } }),
  );
  const loose = await client.pushBlob('a', Buffer.from('loose'));
  await eventually(
    async () => (await call('HEAD', `/v2/a/blobs/${loose.digest}`)).status === 404,
    'the blob is collected',
  );
});

test('stops when told to', async (t) => {
  const { registry } = bind(await startTestRegistry(t));
  await assert.rejects(registry.collectGarbage({ signal: AbortSignal.abort() }), { code: 'CANCELLED' });
});

/** The client's methods as functions. */
function bind(client: Awaited<ReturnType<typeof startTestRegistry>>) {
  return {
    registry: client.registry,
    root: client.root,
    call: client.call.bind(client),
    pushBlob: client.pushBlob.bind(client),
    pushImage: client.pushImage.bind(client),
    putManifest: client.putManifest.bind(client),
  };
}
