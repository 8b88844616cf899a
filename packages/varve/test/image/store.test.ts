import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { openContentStore } from '../../src/content/index.ts';
import { RegistryClient } from '../../src/distribution/index.ts';
import type { TransferEvent } from '../../src/image/index.ts';
import { LocalImageStore } from '../../src/image/index.ts';
import { startRegistry } from '../../src/registry/index.ts';
import { State } from '../../src/state/index.ts';
import { Overlay2Driver } from '../../src/storage/index.ts';

const folder = mkdtempSync('/var/tmp/varve-image-');
const closers: (() => unknown)[] = [];

async function openStore(name: string) {
  const root = join(folder, name);
  const state = new State(join(root, 'state.db'));
  const content = openContentStore({ root: join(root, 'content'), state, grace: 0 });
  const driver = new Overlay2Driver(root);
  const client = new RegistryClient();
  closers.push(async () => {
    await driver.close();
    await client[Symbol.asyncDispose]();
    state.close();
  });
  return { images: new LocalImageStore({ state, content, driver, client }), content, driver, state };
}

function rootTar(): Readable {
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'etc'), { recursive: true });
  writeFileSync(join(tree, 'etc/motd'), 'hello\n'.repeat(1000));
  symlinkSync('etc/motd', join(tree, 'motd'));
  const output = join(folder, 'root.tar');
  execFileSync('tar', ['-C', tree, '--sort=name', '--mtime=@1000000000', '-cf', output, '.']);
  rmSync(tree, { recursive: true });
  return createReadStream(output);
}

let registry: Awaited<ReturnType<typeof startRegistry>>;
before(async () => {
  registry = await startRegistry({
    http: { addr: '127.0.0.1:0' },
    storage: { filesystem: { rootdirectory: join(folder, 'registry') }, delete: { enabled: true } },
  });
});
after(async () => {
  for (const close of closers.reverse()) await close();
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

test('an image keeps its digests through import, save, load, push and pull', async () => {
  const first = await openStore('first');
  const image = await first.images.import(rootTar(), { reference: 'app:1', config: { Cmd: ['sh'] } });
  assert.deepEqual(image.tags, ['docker.io/library/app:1']);
  assert.equal(
    image.config.rootfs.diff_ids[0],
    `sha256:${execFileSync('sha256sum', [join(folder, 'root.tar')], { encoding: 'utf8' }).slice(0, 64)}`,
  );
  assert.equal(image.size, 6000);

  const archive = join(folder, 'app.tar');
  await pipeline(first.images.save(['app:1']), createWriteStream(archive));
  const again = join(folder, 'again.tar');
  await pipeline(first.images.save(['app:1']), createWriteStream(again));
  assert.equal(execFileSync('cmp', [archive, again]).length, 0, 'saving twice gives the same bytes');

  const second = await openStore('second');
  const [loaded] = await second.images.load(createReadStream(archive));
  assert.equal(loaded?.reference, 'docker.io/library/app:1');
  assert.equal(loaded?.image.id, image.id);
  assert.equal(loaded?.image.manifest.digest, image.manifest.digest);

  const name = `${registry.url.slice(7)}/team/app:1`;
  second.images.tag(image.id, name);
  const pushed = await second.images.push(name);
  assert.equal(pushed.digest, image.manifest.digest);

  const third = await openStore('third');
  const events: TransferEvent[] = [];
  const pulled = await third.images.pull(name, { onEvent: (event) => events.push(event) });
  assert.equal(pulled.id, image.id);
  assert.equal(pulled.manifest.digest, image.manifest.digest);
  assert.deepEqual(pulled.digests, [`${registry.url.slice(7)}/team/app@${image.manifest.digest}`]);
  assert.deepEqual(
    third.images.resolve(`${registry.url.slice(7)}/team/app@${image.manifest.digest}`).id,
    image.id,
  );
  assert.ok(events.some((event) => event.type === 'layer' && event.state === 'complete'));
  const chain = await third.images.unpack(pulled);
  await third.driver.prepare('look', chain);
  const root = await third.driver.mount('look');
  assert.equal(statSync(join(root, 'motd')).size, 6000);
  await third.driver.unmount('look');
  await third.driver.remove('look');

  const removed = await third.images.remove(name, { inUse: () => [] });
  assert.deepEqual(
    removed.map((item) => Object.keys(item)[0]),
    ['untagged', 'untagged', 'deleted'],
  );
  assert.equal(third.images.list().length, 0);
  const left = [];
  for await (const blob of third.content.list()) left.push(blob);
  assert.deepEqual(left, [], 'no blob stays behind');
  assert.deepEqual([...third.driver.list()], [], 'no snapshot stays behind');
});

for (const [name, program] of [
  ['gzip', 'gzip'],
  ['zstd', 'zstd'],
  ['xz', 'xz'],
  ['bzip2', 'bzip2'],
] as const) {
  test(`loads and imports archives compressed with ${name}`, async (context) => {
    if (spawnSync(program, ['--version']).error) return context.skip(`${program} is not installed`);
    const { images } = await openStore(`compressed-${name}`);
    const plain = await images.import(rootTar(), { reference: 'plain:1' });
    const archive = join(folder, `${name}.tar`);
    await pipeline(images.save(['plain:1']), createWriteStream(archive));
    execFileSync(program, ['-k', '-f', '-q', archive]);
    const extension = { gzip: 'gz', zstd: 'zst', xz: 'xz', bzip2: 'bz2' }[name];
    const { images: others } = await openStore(`decompressed-${name}`);
    const [loaded] = await others.load(createReadStream(`${archive}.${extension}`));
    assert.equal(loaded?.image.id, plain.id);
    const root = join(folder, 'root.tar');
    execFileSync(program, ['-k', '-f', '-q', root]);
    const imported = await others.import(createReadStream(`${root}.${extension}`), { reference: 'again:1' });
    assert.deepEqual(imported.config.rootfs.diff_ids, plain.config.rootfs.diff_ids);
    return undefined;
  });
}

test('refuses archives that are no images and leaves nothing', async () => {
  const { images, content } = await openStore('refusing');
  const stream = new PassThrough();
  stream.end(Buffer.alloc(1024));
  await assert.rejects(images.load(stream), { code: 'ARCHIVE_INVALID' });
  const evil = join(folder, 'evil');
  mkdirSync(evil);
  writeFileSync(
    join(evil, 'manifest.json'),
    JSON.stringify([{ Config: '../../../etc/shadow', Layers: ['/etc/passwd'], RepoTags: null }]),
  );
  execFileSync('tar', ['-C', evil, '-cf', join(folder, 'evil.tar'), 'manifest.json']);
  await assert.rejects(images.load(createReadStream(join(folder, 'evil.tar'))), {
    code: 'ARCHIVE_INVALID',
    message: /is not in it/,
  });
  assert.equal(images.list().length, 0);
  await images.collect();
  const left = [];
  for await (const blob of content.list()) left.push(blob);
  assert.deepEqual(left, []);
});

test('untags one of several names, and refuses to remove an image in use', async () => {
  const { images } = await openStore('removing');
  const image = await images.import(rootTar(), { reference: 'one:1' });
  images.tag(image.id, 'two:2');
  await assert.rejects(images.remove(image.id.slice(7, 19), { inUse: () => [] }), {
    kind: 'conflict',
    message: /must be forced\) - image is referenced in multiple repositories/,
  });
  assert.deepEqual(await images.remove('two:2', { inUse: () => [] }), [{ untagged: 'two:2' }]);
  const inUse = () => [{ id: 'c'.repeat(64), running: true }];
  await assert.rejects(images.remove('one:1', { inUse }), {
    kind: 'conflict',
    message: /cannot be forced\) - image is being used by running container cccccccccccc/,
  });
  await assert.rejects(images.remove('missing', { inUse }), {
    kind: 'not-found',
    message: 'No such image: missing:latest',
  });
});
