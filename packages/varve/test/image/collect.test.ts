import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { openContentStore } from '../../src/content/index.ts';
import { RegistryClient } from '../../src/distribution/index.ts';
import { LocalImageStore } from '../../src/image/index.ts';
import { archive, file } from '../../src/layer/testing/archive.ts';
import { State } from '../../src/state/index.ts';
import { Overlay2Driver } from '../../src/storage/index.ts';

const folder = mkdtempSync('/var/tmp/varve-collect-');
const stack = new AsyncDisposableStack();
after(async () => {
  await stack.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
});

/** A driver whose first removal, once done, does not return before the gate is opened. */
class GatedDriver extends Overlay2Driver {
  readonly removed: string[] = [];
  readonly reached = Promise.withResolvers<void>();
  readonly gate = Promise.withResolvers<void>();

  override async remove(key: string): Promise<void> {
    await super.remove(key);
    this.removed.push(key);
    if (this.removed.length > 1) return;
    this.reached.resolve();
    await this.gate.promise;
  }
}

function openStore(name: string) {
  const root = join(folder, name);
  const state = new State(join(root, 'state.db'));
  const content = openContentStore({ root, state, grace: 0 });
  const driver = new GatedDriver(join(root, 'snapshots'));
  const client = new RegistryClient();
  stack.defer(async () => {
    await driver.close();
    await client.close();
    state.close();
  });
  return { images: new LocalImageStore({ state, content, driver, client }), content, driver, root };
}

const inUse = (): [] => [];

test('a collection under way leaves what a load finds after it marked', async () => {
  const { images, driver, content } = openStore('race');
  const saved = new Map<string, Buffer>();
  for (const name of ['one', 'two']) {
    const image = await images.import(Readable.from([archive(file(name, name))]), { reference: name });
    saved.set(image.config.rootfs.diff_ids[0] ?? '', await buffer(images.save([name])));
  }
  const pruning = images.prune({ all: true, keep: () => false });
  await driver.reached.promise;
  // Of the other one the snapshot is still there, and the sweep has it on its list.
  const [diffId = '', bytes] = [...saved].find(([key]) => !driver.removed.includes(key)) ?? [];
  const [loaded] = await images.load(Readable.from([bytes]));
  driver.gate.resolve();
  await pruning;
  assert.ok(loaded);
  assert.ok(driver.has(diffId), 'its snapshot was swept');
  assert.equal(images.layers(loaded.image).length, 1);
  for (const { blob } of images.layers(loaded.image)) assert.ok(content.stat(blob.digest));
  assert.equal(await images.unpack(loaded.image), diffId);
});

test('an image whose config was lost is listed, cannot be run, and can be loaded again or removed', async () => {
  const { images, content, driver } = openStore('lost');
  driver.gate.resolve();
  for (const name of ['lost', 'whole'])
    await images.import(Readable.from([archive(file(name, name))]), { reference: name });
  const bytes = await buffer(images.save(['lost']));
  rmSync(content.path(images.resolve('lost').id));
  const reopened = new LocalImageStore({ ...openStoreParts('lost'), content, driver });
  const image = reopened.resolve('lost');
  assert.equal(reopened.list().length, 2);
  await assert.rejects(reopened.unpack(image), { code: 'CONFIG_DAMAGED' });
  // A collection does not take away what loading it again would need to be whole.
  await reopened.collect();
  await reopened.load(Readable.from([bytes]));
  const repaired = reopened.resolve('lost');
  assert.equal(repaired.id, image.id);
  assert.equal(await reopened.unpack(repaired), repaired.config.rootfs.diff_ids[0]);
  rmSync(content.path(image.id));
  const again = new LocalImageStore({ ...openStoreParts('lost'), content, driver });
  await again.remove('lost', { inUse });
  assert.deepEqual(
    again.list().map(({ tags }) => tags[0]),
    ['docker.io/library/whole:latest'],
  );
});

function openStoreParts(name: string) {
  const state = new State(join(folder, name, 'state.db'));
  const client = new RegistryClient();
  stack.defer(async () => {
    await client.close();
    state.close();
  });
  return { state, client };
}
