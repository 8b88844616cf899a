import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { openContentStore } from '../../src/content/index.ts';
import { RegistryClient, schema1SignedType } from '../../src/distribution/index.ts';
import { LocalImageStore } from '../../src/image/index.ts';
import type { RegistryConfigInput } from '../../src/registry/index.ts';
import { startTestRegistry, type TestRegistry } from '../../src/registry/testing/index.ts';
import { State } from '../../src/state/index.ts';
import { VfsDriver } from '../../src/storage/index.ts';
import { makeImage, startDockerRegistry, temporaryFolder } from './programs.ts';

// Not synchronous: the registry is in this process.
const skopeo = (...more: readonly string[]) => promisify(execFile)('skopeo', more);
const hostOf = ({ url }: { readonly url: string }): string => new URL(url).host;

async function start(t: TestContext, more: RegistryConfigInput = {}): Promise<TestRegistry> {
  return await startTestRegistry(t, { compatibility: { schema1: { enabled: true } }, ...more });
}

async function pushSchema1(image: string, registry: TestRegistry): Promise<void> {
  const target = `docker://${hostOf(registry)}/demo/app:v1`;
  await skopeo('copy', '--dest-tls-verify=false', '--format', 'v2s1', image, target);
}

test('skopeo pushes schema 1 where it is let, copies it on under another name, and pulls it back as OCI', async (t) => {
  const folder = temporaryFolder(t);
  const registry = await start(t);
  const image = makeImage(folder);
  await pushSchema1(image, registry);
  const pushed = await registry.call('GET', '/v2/demo/app/manifests/v1');
  assert.equal(pushed.headers['content-type'], schema1SignedType);
  const host = hostOf(registry);
  const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
  await skopeo('copy', ...plain, `docker://${host}/demo/app:v1`, `docker://${host}/other/app:v2`);
  const copied = await registry.call('GET', '/v2/other/app/manifests/v2');
  assert.equal(copied.headers['content-type'], schema1SignedType);
  // skopeo verifies the digest, which is that of the payload.
  const byDigest = `docker://${host}/other/app@${copied.headers['docker-content-digest'] as string}`;
  await skopeo('copy', '--src-tls-verify=false', byDigest, `oci:${join(folder, 'back')}:v2`);
  // Compressed anew on the way, so it is what they unpack to that stays.
  const diffIds = async (name: string): Promise<unknown> => {
    const { stdout } = await skopeo('inspect', '--config', name);
    return (JSON.parse(stdout) as { readonly rootfs: object }).rootfs;
  };
  assert.deepEqual(await diffIds(`oci:${join(folder, 'back')}:v2`), await diffIds(image));
  await registry.registry.collectGarbage({ graceMs: 0 });
  await skopeo('inspect', '--tls-verify=false', `docker://${host}/demo/app:v1`);
  await skopeo('delete', '--tls-verify=false', byDigest);
  assert.equal((await registry.call('GET', '/v2/other/app/manifests/v2')).status, 404);
});

test('a registry that does not let it says which setting would', async (t) => {
  const folder = temporaryFolder(t);
  const image = makeImage(folder);
  const registry = await startTestRegistry(t);
  await assert.rejects(pushSchema1(image, registry), /manifest invalid/);
  const answer = await registry.putManifest('demo/app', 'v1', Buffer.from('{}'), schema1SignedType);
  assert.match(answer.body.toString(), /MANIFEST_INVALID.*compatibility\.schema1\.enabled/);
});

test('an engine refuses schema 1 in dockerd’s words', async (t) => {
  const folder = temporaryFolder(t);
  const registry = await start(t);
  await pushSchema1(makeImage(folder), registry);
  const root = join(folder, 'engine');
  using state = new State(join(root, 'state.db'));
  const content = openContentStore({ root, state, grace: 0 });
  const driver = new VfsDriver(join(root, 'snapshots'));
  await using client = new RegistryClient();
  const images = new LocalImageStore({ state, content, driver, client, trust: [] });
  await assert.rejects(images.pull(`${hostOf(registry)}/demo/app:v1`, {}), {
    code: 'MANIFEST_INVALID',
    message:
      /schema 1 support has been removed\. Suggest the author of 127\.0\.0\.1:\d+\/demo\/app:v1 to upgrade/,
  });
  await driver.close();
});

test('what skopeo signed is answered as docker-registry answers, also where it is changed or mislabelled', async (t) => {
  const folder = temporaryFolder(t);
  const registry = await start(t);
  const theirs = await startDockerRegistry(t, folder, { compatibility: { schema1: { enabled: true } } });
  const image = makeImage(folder);
  await pushSchema1(image, registry);
  const target = `docker://${theirs.host}/demo/app:v1`;
  await skopeo('copy', '--dest-tls-verify=false', '--format', 'v2s1', image, target);
  const { body } = await registry.call('GET', '/v2/demo/app/manifests/v1');
  const text = body.toString();
  const digest = (await registry.call('HEAD', '/v2/demo/app/manifests/v1')).headers['docker-content-digest'];
  const absent = `sha256:${'0'.repeat(64)}`;
  const unsigned = text.replace(/,\s*"signatures"[^]*/, '}');
  const plainType = 'application/vnd.docker.distribution.manifest.v1+json';
  const steps: readonly (readonly [what: string, body: string, reference: string, type: string])[] = [
    ['as it is', text, 'v1', schema1SignedType],
    ['by digest', text, String(digest), schema1SignedType],
    ['by another digest', text, absent, schema1SignedType],
    ['as the unsigned type', text, 'v1', plainType],
    ['as JSON', text, 'v1', 'application/json'],
    ['unsigned', unsigned, 'v1', plainType],
    ['unsigned, as the signed type', unsigned, 'v1', schema1SignedType],
    ['changed', text.replace(/"a[mr][dm]64"/, '"other"'), 'v1', schema1SignedType],
    ['no schema 1', '{}', 'v1', schema1SignedType],
  ];
  for (const [what, content, reference, type] of steps) {
    const put = (base: string) =>
      fetch(`${base}/v2/demo/app/manifests/${reference}`, {
        method: 'PUT',
        body: content,
        headers: { 'content-type': type },
      });
    const [ours, other] = [await put(registry.url), await put(theirs.url)];
    const codes = async (answer: Response): Promise<unknown> =>
      answer.ok
        ? answer.headers.get('docker-content-digest')
        : ((await answer.json()) as { errors: { code: string }[] }).errors.map(({ code }) => code);
    assert.deepEqual([ours.status, await codes(ours)], [other.status, await codes(other)], what);
  }
});
