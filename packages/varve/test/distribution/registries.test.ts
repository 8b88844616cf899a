import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import bcrypt from 'bcryptjs';
import { openContentStore } from '../../src/content/index.ts';
import { downloadBlob, type RawManifest, RegistryClient } from '../../src/distribution/index.ts';
import { type Descriptor, digestOf, encodeJson, mediaTypes } from '../../src/oci/index.ts';
import { State } from '../../src/state/index.ts';
import {
  type RegistryProcess,
  skipReason,
  startDockerRegistry,
  startVarveRegistry,
} from './registry-process.ts';

const layer = randomBytes(3_000_000);
const config = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');

function describeBlob(data: Buffer, mediaType: string): Descriptor {
  return { mediaType, digest: digestOf(data), size: data.length };
}

const layerDescriptor = describeBlob(layer, mediaTypes.ociLayerGzip);
const configDescriptor = describeBlob(config, mediaTypes.ociConfig);

function rawManifest(): RawManifest {
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: configDescriptor,
    layers: [layerDescriptor],
  });
  return { bytes, descriptor: describeBlob(bytes, mediaTypes.ociManifest) };
}

async function* pieces(data: Buffer, start: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < data.length; at += 100_000) yield data.subarray(at, at + 100_000);
}

const registries = [
  {
    name: "Debian's docker-registry",
    skip: skipReason,
    start: () => startDockerRegistry(),
    /** Its state of an upload is signed with a key that a restart changes. */
    resumesAfterRestart: false,
    openUploads: (root: string) =>
      readdirSync(join(root, 'data/docker/registry/v2/repositories/team/other/_uploads')),
  },
  {
    name: "Varve's registry",
    skip: false,
    start: startVarveRegistry,
    resumesAfterRestart: true,
    openUploads: undefined,
  },
] as const;

for (const { name, skip, start, openUploads } of registries)
  describe(`against ${name}`, { skip }, () => {
    let registry: RegistryProcess;
    let client: RegistryClient;

    before(async () => {
      registry = await start();
      client = new RegistryClient();
      const shared = client.repository(`${registry.host}/team/app`);
      await shared.putBlob(layerDescriptor, (start) => pieces(layer, start));
      await shared.putBlob(configDescriptor, (start) => pieces(config, start));
    });
    after(async () => {
      await client.close();
      await registry[Symbol.asyncDispose]();
    });

    test('pushes blobs and a manifest, and finds them again', async () => {
      const repository = client.repository(`${registry.host}/team/first`);
      const sent: number[] = [];
      assert.equal(await repository.hasBlob(layerDescriptor.digest), false);
      await repository.putBlob(layerDescriptor, (start) => pieces(layer, start), {
        onProgress: (bytes) => sent.push(bytes),
      });
      await repository.putBlob(configDescriptor, (start) => pieces(config, start));
      assert.equal(sent.at(-1), layer.length);
      assert.equal(await repository.hasBlob(layerDescriptor.digest), true);
      const manifest = rawManifest();
      await repository.putManifest('v1', manifest);
      assert.deepEqual(await repository.headManifest('v1'), manifest.descriptor);
      assert.deepEqual(await repository.getManifest('v1'), manifest);
      assert.deepEqual(await repository.getManifest(manifest.descriptor.digest), manifest);
      assert.equal(await repository.headManifest('none'), undefined);
    });

    test('stores an empty blob', async () => {
      const repository = client.repository(`${registry.host}/team/app`);
      const empty = describeBlob(Buffer.alloc(0), 'application/octet-stream');
      await repository.putBlob(empty, (start) => pieces(Buffer.alloc(0), start));
      assert.equal(await repository.hasBlob(empty.digest), true);
    });

    test('downloads a blob into the content store, also from the middle', async () => {
      const root = mkdtempSync('/var/tmp/varve-download-');
      const state = new State(join(root, 'state.db'));
      try {
        const store = openContentStore({ root, state });
        const half = await store.ingest(layerDescriptor.digest, layerDescriptor);
        await half.write(layer.subarray(0, 1_234_567));
        await half.close();
        const seen: number[] = [];
        const repository = client.repository(`${registry.host}/team/app`);
        await downloadBlob(repository, layerDescriptor, store, { onProgress: (bytes) => seen.push(bytes) });
        assert.ok((seen[0] ?? 0) > 1_234_567, `went on at ${seen[0]}`);
        assert.ok(layer.equals(await store.read(layerDescriptor.digest)));
      } finally {
        state.close();
        rmSync(root, { recursive: true });
      }
    });

    test('mounts a blob from another repository; a refused mount becomes an upload', async () => {
      const repository = client.repository(`${registry.host}/team/other`);
      assert.equal(await repository.mountBlob(layerDescriptor.digest, 'team/app'), true);
      assert.equal(await repository.hasBlob(layerDescriptor.digest), true);
      const data = randomBytes(1000);
      const blob = describeBlob(data, 'application/octet-stream');
      assert.equal(await repository.mountBlob(blob.digest, 'team/app'), false);
      await repository.putBlob(blob, (start) => pieces(data, start));
      assert.equal(await repository.hasBlob(blob.digest), true);
      assert.deepEqual(openUploads?.(registry.root) ?? [], [], 'no upload is left open');
    });

    test('lists tags', async () => {
      const repository = client.repository(`${registry.host}/team/app`);
      for (let index = 0; index < 5; index++) await repository.putManifest(`tag-${index}`, rawManifest());
      const tags = await Array.fromAsync(repository.listTags());
      assert.deepEqual(tags.sort(), ['tag-0', 'tag-1', 'tag-2', 'tag-3', 'tag-4']);
    });

    test("tells what is missing in Docker's words", async () => {
      const repository = client.repository(`${registry.host}/team/app`);
      await assert.rejects(repository.getManifest('none'), {
        kind: 'not-found',
        code: 'MANIFEST_UNKNOWN',
        message: new RegExp(`^manifest for ${registry.host}/team/app:none not found: manifest unknown: `),
      });
      await assert.rejects(repository.getBlob(describeBlob(Buffer.from('none'), 'x/y')), {
        kind: 'not-found',
        code: 'BLOB_UNKNOWN',
      });
      await assert.rejects(Array.fromAsync(client.repository(`${registry.host}/none`).listTags()), {
        kind: 'not-found',
        message: /^repository .*\/none not found: name unknown: /,
      });
      await assert.rejects(
        repository.putManifest('bad', {
          bytes: encodeJson({
            schemaVersion: 2,
            mediaType: mediaTypes.ociManifest,
            config: describeBlob(Buffer.from('x'), mediaTypes.ociConfig),
            layers: [],
          }),
          descriptor: rawManifest().descriptor,
        }),
        {
          kind: 'invalid',
        },
      );
    });

    test('refuses to end an upload of other bytes', async () => {
      const repository = client.repository(`${registry.host}/team/app`);
      const blob = describeBlob(Buffer.from('right'), 'x/y');
      await assert.rejects(
        repository.putBlob(blob, () => pieces(Buffer.from('wrong'), 0)),
        { code: 'DIGEST_INVALID' },
      );
      await assert.rejects(
        repository.putBlob(blob, () => pieces(Buffer.from('rig'), 0)),
        { kind: 'data-loss', code: 'SIZE_MISMATCH' },
      );
      assert.equal(await repository.hasBlob(blob.digest), false);
    });

    test('deletes a manifest', async () => {
      const repository = client.repository(`${registry.host}/gone`);
      await repository.putBlob(configDescriptor, (start) => pieces(config, start));
      const bytes = encodeJson({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: configDescriptor,
        layers: [],
      });
      const descriptor = describeBlob(bytes, mediaTypes.ociManifest);
      await repository.putManifest('v1', { bytes, descriptor });
      await repository.deleteManifest(descriptor.digest);
      assert.equal(await repository.headManifest(descriptor.digest), undefined);
      await assert.rejects(repository.deleteManifest(descriptor.digest), { kind: 'not-found' });
    });
  });

test('logs in to a registry with htpasswd, and says what is missing without', {
  skip: skipReason,
}, async () => {
  const folder = mkdtempSync('/var/tmp/varve-htpasswd-');
  const file = join(folder, 'htpasswd');
  writeFileSync(file, `alice:${bcrypt.hashSync('secret', 4)}\n`);
  try {
    await using registry = await startDockerRegistry(`auth: {htpasswd: {realm: test, path: ${file}}}`);
    await using alice = new RegistryClient({
      credentials: async (host) =>
        host === registry.host ? { username: 'alice', password: 'secret' } : undefined,
    });
    const repository = alice.repository(`${registry.host}/app`);
    await repository.putBlob(configDescriptor, (start) => pieces(config, start));
    assert.equal(await repository.hasBlob(configDescriptor.digest), true);
    await using nobody = new RegistryClient();
    await assert.rejects(nobody.repository(`${registry.host}/app`).getManifest('v1'), {
      kind: 'unauthorized',
      message: `Get "http://${registry.host}/v2/app/manifests/v1": no basic auth credentials`,
    });
    const wrong = nobody.repository(`${registry.host}/app`, { username: 'alice', password: 'wrong' });
    await assert.rejects(wrong.getManifest('v1'), { kind: 'unauthorized', code: 'UNAUTHORIZED' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

for (const { name, skip, start, resumesAfterRestart } of registries) {
  test(`goes on with uploads and downloads when ${name} dies and comes back`, { skip }, async (context) => {
    const root = mkdtempSync('/var/tmp/varve-restart-');
    context.after(() => rmSync(root, { recursive: true }));
    await using registry = await start();
    await using client = new RegistryClient({ retry: { delay: 200 } });
    const repository = client.repository(`${registry.host}/app`);
    const data = randomBytes(20_000_000);
    const blob = describeBlob(data, mediaTypes.ociLayerGzip);
    const restart = async (): Promise<void> => {
      await registry.kill();
      await registry.restart();
    };

    let restarted: Promise<void> | undefined;
    const starts: number[] = [];
    await repository.putBlob(blob, async function* (start) {
      starts.push(start);
      for await (const piece of pieces(data, start)) {
        yield piece;
        start += piece.length;
        if (start > 10_000_000) restarted ??= restart();
      }
    });
    await restarted;
    assert.ok(starts.length > 1, 'the upload was cut');
    if (resumesAfterRestart)
      assert.ok((starts[1] ?? 0) > 0, `the upload began again at ${starts.join(', ')}`);
    assert.equal(await repository.hasBlob(blob.digest), true);

    using state = new State(join(root, 'state.db'));
    const store = openContentStore({ root, state });
    let again: Promise<void> | undefined;
    let retries = 0;
    await downloadBlob(repository, blob, store, {
      retry: { delay: 200 },
      onProgress: (bytes) => {
        if (bytes > 5_000_000) again ??= restart();
      },
      onRetry: () => retries++,
    });
    await again;
    assert.ok(data.equals(await store.read(blob.digest, data.length)));
    context.diagnostic(`uploads began at ${starts.join(', ')}; ${retries} retries of the download`);
  });
}
