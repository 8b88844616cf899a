/** What images and containers come through with devicemapper on one side; the host's drivers are tested in `../storage`. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { randomId } from '../../src/base/index.ts';
import { type ContainerRecord, removeOtherTree } from '../../src/engine/index.ts';
import { neverStarted } from '../../src/engine/types.ts';
import type { LocalImage } from '../../src/image/index.ts';
import { mountsBelow } from '../../src/linux/index.ts';
import { PowerCutDisk } from '../../src/linux/testing/index.ts';
import { type ChainID, digestOf } from '../../src/oci/index.ts';
import { startRegistry } from '../../src/registry/index.ts';
import { loopFiles, ourDevices, usedBlocks } from '../../src/storage/drivers/devicemapper/testing/devices.ts';
import { asObject, listTree } from '../../src/storage/testing/index.ts';
import { commitImage, guestDrivers, migrateRoot, openParts, type Parts } from './image-parts.ts';

/** How many lives of containers; a guest may take a second for ten. */
const cycles = Number(process.env['VARVE_TEST_CYCLES'] ?? 24);
/** In one test, which has a time limit. */
const batch = 200;

let disk: PowerCutDisk;
let archive: string;

before(() => {
  disk = new PowerCutDisk({ mebibytes: 900 });
  archive = join(disk.path, 'base.tar');
  const base = join(disk.path, 'base');
  const make =
    'mkdir d old etc; echo hello >d/f; seq 2000 >d/g; echo h >d/h; touch old/stale etc/group etc/passwd';
  mkdirSync(base);
  execFileSync('sh', ['-c', `${make}; tar cf ${archive} .`], { cwd: base });
});

after(() => disk[Symbol.dispose]());

/** Copy-up, whiteouts, links, attributes, holes. */
const changes =
  'echo changed >>d/f; rm d/g etc/group; mkdir -p new/deep; ln d/f new/hard; ln -s ../d/f new/soft; chmod 4711 d/h; chown 7:8 d; touch -d @1000000 new/deep; truncate -s 5M new/sparse; mkfifo new/pipe; echo m >marked; setfattr -n user.note -v kept marked';
/** Under a union an opaque folder. */
const opaque = 'rm -r old; mkdir old; echo again >old/fresh';

async function act({ driver }: Parts, key: string, script: string): Promise<void> {
  const root = await driver.mount(key);
  try {
    execFileSync('sh', ['-ec', script], { cwd: root });
  } finally {
    await driver.unmount(key);
  }
}

async function importBase({ images }: Parts): Promise<LocalImage> {
  return await images.import(createReadStream(archive), { reference: 'base', config: { Cmd: ['sh'] } });
}

/** All that is seen of an image's or a container's tree. */
async function look({ driver }: Parts, key: string): Promise<Record<string, string>> {
  const root = await driver.mount(key, { readOnly: true });
  try {
    return asObject(listTree(root));
  } finally {
    await driver.unmount(key);
  }
}

/** A container as an engine records it, of which only the tree is real. */
async function addContainer(parts: Parts, image: LocalImage, name: string, script: string): Promise<void> {
  const id = randomId();
  await parts.driver.prepare(id, await parts.images.unpack(image));
  await act(parts, id, script);
  const record = { id, name, createdAt: name, generation: 0, imageId: image.id, hostConfig: {}, mounts: [] };
  parts.containers.add({ ...record, state: neverStarted } as unknown as ContainerRecord);
}

async function showAll(parts: Parts): Promise<object> {
  const containers = [];
  for (const { id, name } of parts.containers.list()) {
    const path = parts.content.temporaryPath();
    const { diffId } = await parts.driver.diff(id, path, 'none');
    containers.push({
      name,
      tree: await look(parts, id),
      changes: (await parts.driver.changes(id)).map(({ kind, path }) => `${kind} ${path}`),
      // What deletes an opaque folder's content is one mark under a union, and one for each name elsewhere.
      diffId: name === 'box' ? diffId : '',
    });
  }
  const images = parts.images.list().map(({ id, manifest }) => `${id} ${manifest.digest}`);
  return { containers, images };
}

/** What the device mapper and loop devices hold of a pool. */
function devices(): string[] {
  return [...ourDevices(), ...loopFiles().filter((path) => /\/(meta)?data( \(deleted\))?$/.test(path))];
}

test('images and containers move from vfs to devicemapper and on to overlay2 as they are', async () => {
  const root = join(disk.path, 'moved');
  let original: object;
  {
    await using parts = await openParts(root, 'vfs');
    const base = await importBase(parts);
    await parts.driver.prepare('step', await parts.images.unpack(base));
    await act(parts, 'step', 'echo two >d/two; rm d/h');
    const image = await commitImage(parts, 'step', base, 'app');
    await parts.driver.remove('step');
    await addContainer(parts, base, 'box', changes);
    await addContainer(parts, image, 'other', opaque);
    original = await showAll(parts);
  }
  assert.deepEqual(devices(), []);

  // Killed while volumes are mounted; the next migration, or a start of the engine, ends what it left.
  const module = new URL('./image-parts.ts', import.meta.url).href;
  const script = `const { migrateRoot } = await import('${module}'); await migrateRoot('${root}', 'devicemapper', console.log)`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (line.startsWith('compare 2')) child.kill('SIGKILL');
  }
  assert.ok(devices().length >= 3, `${said.join('\n')}\n${devices().join('\n')}`);
  await removeOtherTree(root, guestDrivers);
  assert.deepEqual(devices(), []);
  assert.deepEqual(mountsBelow(root), []);
  assert.ok(!existsSync(join(root, 'snapshots.migrating')));

  for (const target of ['devicemapper', 'overlay2']) {
    await migrateRoot(root, target);
    assert.deepEqual(devices(), []);
    assert.deepEqual(mountsBelow(root), []);
    assert.deepEqual(readdirSync(join(root, 'snapshots')), [target]);
    assert.ok(!existsSync(join(root, 'snapshots.migrating')));
    await using parts = await openParts(root);
    assert.equal(parts.driver.name, target);
    assert.deepEqual(await showAll(parts), original);
  }
});

test('images pulled under one driver and pushed under another keep their digests', async () => {
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  const registry = await startRegistry({
    http: { addr: '127.0.0.1:0' },
    storage: { filesystem: { rootdirectory: join(disk.path, 'registry') } },
  });
  const host = registry.url.slice('http://'.length);
  try {
    const known = new Map<string, { digest: string; tree: Record<string, string> }>();
    for (const [turn, name] of ['overlay2', 'devicemapper', 'vfs'].entries()) {
      await using parts = await openParts(join(disk.path, `digests-${turn}`), name);
      const { images, driver } = parts;
      for (const [image, { digest, tree }] of known) {
        const pulled = await images.pull(`${host}/first/${image}`);
        const again = `${host}/again-${turn}/${image}`;
        images.tag(pulled.id, again);
        assert.equal((await images.push(again)).digest, digest, `${image} under ${name}`);
        const top = (await images.unpack(pulled)) ?? '';
        assert.deepEqual(await look(parts, top), tree, `${image} under ${name}`);
      }
      // The same base every time: what is committed on it is the same layer, whoever wrote it.
      const base = await importBase(parts);
      const own = `made-${turn}`;
      await driver.prepare('step', await images.unpack(base));
      await act(parts, 'step', `${changes}; find . -exec touch -hd @1500000000 {} +`);
      const reference = `${host}/first/${own}`;
      const made = await commitImage(parts, 'step', base, reference);
      await driver.remove('step');
      const { digest } = await images.push(reference);
      known.set(own, { digest, tree: await look(parts, (await images.unpack(made)) ?? '') });
    }
    const [first, ...others] = [...known.values()];
    for (const other of others) assert.deepEqual(other.tree, first?.tree);
  } finally {
    await registry.close();
  }
});

/** A root with a pool of its own, on which lives of containers leave nothing. */
class Lives {
  readonly #parts: Parts;
  readonly #snapshots: string;
  readonly #image: ChainID | undefined;

  private constructor(parts: Parts, snapshots: string, image: ChainID | undefined) {
    this.#parts = parts;
    this.#snapshots = snapshots;
    this.#image = image;
  }

  static async begin(): Promise<Lives> {
    const root = join(disk.path, 'lives');
    const parts = await openParts(root, 'devicemapper');
    const image = await parts.images.unpack(await importBase(parts));
    // One stays, so that what all share is there at each look.
    await parts.driver.prepare('stays', image);
    await parts.driver.mount('stays');
    const lives = new Lives(parts, join(root, 'snapshots'), image);
    for (let index = 0; index < 4; index++) await lives.live(index);
    await lives.settled();
    return lives;
  }

  /** Everything that a container could leave. */
  traces(): object {
    return {
      devices: devices(),
      mounts: mountsBelow(disk.path).map(({ target }) => target),
      files: readdirSync(this.#snapshots, { recursive: true, encoding: 'utf8' }).sort(),
    };
  }

  /** Waits until what was removed is deleted, too. */
  async settled(): Promise<void> {
    const trash = join(this.#snapshots, 'devicemapper/trash');
    const deadline = performance.now() + 30_000;
    while (readdirSync(trash).length > 0) {
      assert.ok(performance.now() < deadline, `not deleted: ${readdirSync(trash).join(', ')}`);
      await delay(10);
    }
  }

  /** The four ways out: unused, used, written to, and by way of an image on top. */
  async live(index: number): Promise<void> {
    const { driver } = this.#parts;
    const key = `life-${index}`;
    await driver.prepare(key, this.#image);
    if (index % 4 > 0) {
      const mounted = await driver.mount(key);
      if (index % 4 > 1) {
        writeFileSync(join(mounted, 'file'), Buffer.alloc(100_000, index));
        rmSync(join(mounted, 'd/g'));
      }
      await driver.unmount(key);
    }
    if (index % 4 < 3) {
      await driver.remove(key);
      return;
    }
    const chain = digestOf(key);
    await driver.commit(key, chain);
    await driver.prepare(key, chain);
    await driver.remove(key);
    await driver.remove(chain);
  }

  async end(): Promise<void> {
    await this.#parts.driver.unmount('stays');
    await this.#parts[Symbol.asyncDispose]();
  }
}

let lives: Lives | undefined;

for (let done = 0; done < cycles; done += batch) {
  const last = Math.min(done + batch, cycles);
  test(`lives of containers leave no device, mount, block or file: ${last} of ${cycles}`, async () => {
    lives ??= await Lives.begin();
    const [first, blocks] = [lives.traces(), usedBlocks()];
    for (let index = done; index < last; index++) await lives.live(index);
    await lives.settled();
    assert.deepEqual(lives.traces(), first);
    // Each life that writes would leave two or more; what is mounted all the time may write its journal.
    assert.ok(usedBlocks() <= blocks + 4, `${blocks} blocks became ${usedBlocks()}`);
  });
}

test('a pool that is closed leaves no device', async () => {
  await lives?.end();
  assert.deepEqual(devices(), []);
});
