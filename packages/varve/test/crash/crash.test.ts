/** kill -9 of the engine in the middle of its work: nothing half done is seen afterwards, and nothing is left lying about. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { archive, file, folder, symlink } from '../../src/layer/testing/archive.ts';
import { eventually, TestEngine } from '../engine/harness.ts';
import { holdings, recorded, wrongBlobs } from '../support/data-root.ts';
import { type HostProcess, startVarveRegistry } from '../support/host-process.ts';
import { makeImage, ociArchive } from '../support/made-image.ts';
import { choosePoints, countCalls, killAt } from './strace.ts';

const kills = Number(process.env['VARVE_TEST_KILLS'] ?? 4);
/** Kills at moments drawn from the work's own duration, for each kind of work. */
const randomKills = kills;
/** Kills at chosen system calls, for each kind of work. */
const chosenKills = kills;

/** One kind of work that the engine is killed in. */
interface Work {
  readonly name: string;
  /** Makes ready what one attempt needs; runs before every attempt. */
  readonly prepare?: () => Promise<void>;
  readonly argv: () => readonly string[];
  /** The image it makes; none for a push. */
  readonly image?: string;
  /** What the image's tree must hash to; taken from the first success. */
  tree?: string;
  /** What must hold besides after a success. */
  readonly check?: () => Promise<void>;
  readonly clean: () => Promise<void>;
}

let engine: TestEngine;
let registry: HostProcess & { readonly host: string };
let root: string;
let baseline: Record<string, readonly string[]>;
let cache: string;

const listFiles =
  'find /data /made /copied /twice /last /bin/vi -type f 2>/dev/null | sort | xargs -r md5sum | md5sum';

/** An image of busybox and layers of random files, some replaced by the next. */
function randomImage(layers: number, tag: string): Buffer {
  const tars = Array.from({ length: layers }, (_, layer) =>
    archive(
      folder('data'),
      ...Array.from({ length: 60 }, (_, index) =>
        file(`data/${(index * (layer + 1)) % 97}`, randomBytes(20_000)),
      ),
    ),
  );
  const root = archive(
    folder('bin'),
    { ...file('bin/sh', readFileSync('/bin/busybox')), mode: 0o755 },
    ...['find', 'sort', 'xargs', 'md5sum'].map((name) => symlink(`bin/${name}`, 'sh')),
  );
  return ociArchive(makeImage([root, ...tars]), tag);
}

before(async () => {
  // strace counts calls for each thread; type stripping is kept for the next start.
  process.env['UV_THREADPOOL_SIZE'] = '1';
  cache = mkdtempSync('/var/tmp/varve-compile-cache-');
  process.env['NODE_COMPILE_CACHE'] = cache;
  engine = await TestEngine.start();
  root = join(engine.folder, 'root');
  registry = await startVarveRegistry(engine.netns, join(engine.folder, 'registry'));
  await engine.ok(
    'run',
    '--name',
    'worker',
    '--network',
    'none',
    'busybox',
    'sh',
    '-c',
    'mkdir /made; for i in $(seq 300); do head -c 9000 /dev/urandom >/made/$i; done; rm /bin/vi',
  );
  await engine.ok('image', 'prune', '-f');
  // Removed folders are deleted in the background.
  await eventually('removed folders are gone', () => {
    const { temporary, trash } = holdings(root);
    return temporary?.length === 0 && trash?.length === 0;
  });
  baseline = holdings(root);
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  if (cache !== undefined) rmSync(cache, { recursive: true });
});

const pid = (): number => Number(readFileSync(join(engine.folder, 'pid'), 'utf8'));

/** A hash of the names and bytes of all files that a container of the image sees. */
function treeOf(image: string): Promise<string> {
  return engine.ok('run', '--rm', '--network', 'none', '--entrypoint', '/bin/sh', image, '-c', listFiles);
}

/** What may be seen after a kill is whole. */
async function checkWhole(when: string, work: Work): Promise<void> {
  assert.deepEqual(wrongBlobs(root), [], `${when}: blobs that are not what they are named`);
  const { imageBlobs, layers, usedLayers } = recorded(root);
  const blobs = new Set(holdings(root).blobs);
  const present = (digest: string): boolean => blobs.has(digest.slice(7));
  assert.deepEqual(
    [...imageBlobs].filter((digest) => !present(digest)),
    [],
    `${when}: blobs missing`,
  );
  assert.deepEqual(
    [...usedLayers].filter((diffId) => !present(layers.get(diffId) ?? '')),
    [],
    `${when}: layers missing`,
  );
  const listed = await engine.ok('images', '-a', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}');
  for (const line of listed.split('\n')) {
    const [name = '', id = ''] = line.split(' ');
    await engine.ok('image', 'inspect', id);
    const tree = await treeOf(id);
    if (name === work.image && work.tree !== undefined) assert.equal(tree, work.tree, `${when}: ${name}`);
  }
}

/** The same command succeeds, and when all it made is removed nothing is left. */
async function finish(when: string, work: Work): Promise<void> {
  await engine.ok(...work.argv());
  if (work.image !== undefined) {
    const tree = await treeOf(work.image);
    work.tree ??= tree;
    assert.equal(tree, work.tree, when);
  }
  await work.check?.();
  await work.clean();
  await engine.ok('image', 'prune', '-f');
  await eventually('clean', () => isDeepStrictEqual(holdings(root), baseline)).catch(() =>
    assert.deepEqual(holdings(root), baseline, `${when}: left over`),
  );
  const { layers, usedLayers } = recorded(root);
  assert.deepEqual(
    [...layers.keys()].filter((diffId) => !usedLayers.has(diffId)),
    [],
    `${when}: layers without an image`,
  );
}

/** Restarts the engine if it died. @returns whether it had. */
async function restart(): Promise<boolean> {
  const dead = await engine.ended();
  if (dead) await engine.up();
  return dead;
}

function crashTest(name: string, make: () => Promise<Work>): void {
  test(`a kill in the middle of ${name} leaves nothing half done`, async (t) => {
    const work = await make();
    await work.prepare?.();
    const calls = await countCalls(pid(), join(engine.folder, 'calls'), () => engine.ok(...work.argv()));
    await finish('a first time', work);
    await work.prepare?.();
    const start = performance.now();
    await engine.ok(...work.argv());
    const duration = performance.now() - start;
    await finish('a second time', work);

    let killed = 0;
    for (let round = 0; round < randomKills; round++) {
      await work.prepare?.();
      const running = engine.docker(...work.argv());
      // Spread over the duration, with some chance in each part.
      await delay((duration * (round + Math.random())) / randomKills);
      await engine.down('SIGKILL');
      if ((await running).code !== 0) killed++;
      await engine.up();
      await checkWhole(`random kill ${round}`, work);
      if (round % 3 === 2 || round === randomKills - 1) await finish(`random kill ${round}`, work);
    }
    const points = choosePoints(calls, chosenKills);
    const hit: string[] = [];
    for (const point of points) {
      const when = `kill at ${point.call} ${point.when}`;
      await work.prepare?.();
      const release = await killAt(pid(), point);
      await engine.docker(...work.argv());
      await release();
      if (await restart()) hit.push(`${point.call}:${point.when}`);
      await checkWhole(when, work);
      await finish(when, work);
    }
    t.diagnostic(
      `${duration.toFixed(0)} ms; ${killed} of ${randomKills} random kills hit; at calls: ${hit.join(' ')}`,
    );
    assert.ok(killed > 0, 'no random kill came in time');
    assert.ok(
      hit.length >= points.length / 2,
      `only ${hit.join(' ')} of ${points.length} points were reached`,
    );
  });
}

crashTest('a pull', async () => {
  const image = `${registry.host}/crash/pull:1`;
  const path = join(engine.folder, 'pull.tar');
  writeFileSync(path, randomImage(4, image));
  await engine.ok('load', '-i', path);
  await engine.ok('push', image);
  await engine.ok('rmi', image);
  return {
    name: 'pull',
    argv: () => ['pull', image],
    image,
    clean: async () => void (await engine.ok('rmi', image)),
  };
});

crashTest('a load', async () => {
  const path = join(engine.folder, 'load.tar');
  writeFileSync(path, randomImage(4, 'crash/load:1'));
  return {
    name: 'load',
    argv: () => ['load', '-i', path],
    image: 'crash/load:1',
    clean: async () => void (await engine.ok('rmi', 'crash/load:1')),
  };
});

crashTest('a build', async () => {
  const context = join(engine.folder, 'context');
  mkdirSync(context);
  for (let index = 0; index < 100; index++) writeFileSync(join(context, String(index)), randomBytes(20_000));
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nCOPY . /copied/\nRUN rm /copied/7 && cp -a /copied /twice\nENV A=b\nRUN echo last >/last\n',
  );
  return {
    name: 'build',
    argv: () => ['build', '-t', 'crash/build:1', context],
    image: 'crash/build:1',
    clean: async () => {
      await engine.ok('rmi', 'crash/build:1');
      await engine.ok('builder', 'prune', '-f');
    },
  };
});

crashTest('a commit', async () => ({
  name: 'commit',
  argv: () => ['commit', 'worker', 'crash/commit:1'],
  image: 'crash/commit:1',
  clean: async () => void (await engine.ok('rmi', 'crash/commit:1')),
}));

crashTest('a push', async () => {
  let count = 0;
  let image = '';
  const clean = async (): Promise<void> => {
    if (image !== '') await engine.ok('rmi', image);
    image = '';
  };
  return {
    name: 'push',
    // New blobs each time, or there would be nothing to send.
    prepare: async () => {
      await clean();
      image = `${registry.host}/crash/push:${count++}`;
      const path = join(engine.folder, 'push.tar');
      writeFileSync(path, randomImage(3, image));
      await engine.ok('load', '-i', path);
    },
    argv: () => ['push', image],
    check: async () => {
      const id = await engine.inspect(image, '{{.Id}}');
      await engine.ok('rmi', image);
      await engine.ok('pull', image);
      assert.equal(await engine.inspect(image, '{{.Id}}'), id);
      await treeOf(image);
    },
    clean,
  };
});
