/** What is measured on every storage driver: the parts of `bench/storage.ts` but reading. */
import { execFileSync } from 'node:child_process';
import { must } from './harness.ts';
import type { Figures } from './storage-cells.ts';
import type { Image, Layer, Workshop } from './storage-images.ts';
import { diskUsed, type Store } from './storage-stores.ts';

export interface Sizes {
  /** Files of the two layers that are applied. */
  readonly small: number;
  readonly large: number;
  /** Layers of the image that is mounted. */
  readonly stack: number;
  /** Bytes of the file that is written to, and of the one that is read. */
  readonly big: number;
  readonly one: number;
  readonly writes: number;
  readonly images: number;
  readonly rounds: number;
}

/** The sizes. */
export const realSizes: Sizes = {
  small: 10_000,
  large: 65_000,
  stack: 100,
  big: 1 << 30,
  one: 512 << 20,
  writes: 20_000,
  images: 10,
  rounds: 3,
};

export const quickSizes: Sizes = {
  small: 1000,
  large: 5000,
  stack: 30,
  big: 64 << 20,
  one: 64 << 20,
  writes: 2000,
  images: 3,
  rounds: 2,
};

/** What the guest's memory carries in a few minutes. */
export const guestSizes: Sizes = {
  small: 2000,
  large: 2000,
  stack: 20,
  big: 128 << 20,
  one: 64 << 20,
  writes: 2000,
  images: 5,
  rounds: 3,
};

/** A further round of a case is begun where it is likely to end before a store has had this long. */
const roundsLimitMs = 10_000;

/** Everything a part needs. */
export interface Bench {
  readonly stores: readonly Store[];
  readonly sizes: Sizes;
  readonly recorder: Figures;
  readonly workshop: Workshop;
  /** What the bytes of a layer cost at least: a command to which the layer's path is added. */
  readonly floor: { readonly name: string; readonly argv: readonly string[] };
  /** Why nothing more is to be begun, such as a signal; undefined to go on. */
  readonly stopped: () => string | undefined;
}

/** An error as the table says it: short, and without the run's own folders. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .replaceAll(/\/var\/tmp\/varve-[^\s/]+\//g, '')
    .replaceAll(/\s+/g, ' ')
    .slice(0, 300);
}

/** Runs something for every store in turn, several rounds; a store that fails is left out of the rest of the part. */
async function everyStore(
  { stores, recorder, stopped }: Bench,
  part: string,
  rounds: number,
  work: (store: Store, round: number) => Promise<void>,
): Promise<void> {
  const out = new Set<Store>();
  const spent = new Map<Store, number>();
  for (let round = 0; round < rounds; round++) {
    for (const store of stores) {
      const before = spent.get(store) ?? 0;
      if (out.has(store)) continue;
      const stop = stopped();
      if (stop !== undefined) {
        if (round === 0) recorder.miss(part, store.name, stop);
        continue;
      }
      if (round > 0 && before * ((round + 1) / round) > roundsLimitMs) {
        out.add(store);
        if (round === 1) recorder.cut(part, store.name);
        continue;
      }
      const start = performance.now();
      try {
        await work(store, round);
      } catch (error) {
        out.add(store);
        // A signal that ended a command as well is heard only now.
        await new Promise((done) => setImmediate(done));
        recorder.miss(part, store.name, stopped() ?? reasonOf(error));
      }
      const took = performance.now() - start;
      spent.set(store, before + took);
      recorder.took(part, store.name, took / 1000);
    }
  }
}

/** Makes layers of many files into a store and takes them away again. */
async function applyFiles(bench: Bench, part: string, layer: Layer, files: number): Promise<void> {
  const { stores, sizes, recorder, workshop } = bench;
  const image = workshop.image(part, [layer]);
  for (const store of stores) store.stage([image]);
  await everyStore(bench, part, sizes.rounds, async (store) => {
    // What an earlier round left to the disk or deletes is not this one's time.
    await store.idle();
    execFileSync('sync');
    recorder.add(part, `apply ${files} files`, store.name, await store.load([image]));
    recorder.add(part, `remove ${files} files`, store.name, await store.remove(image));
    await store.idle();
    if (store !== stores[0]) return;
    const start = performance.now();
    must([...bench.floor.argv, layer.path]);
    recorder.add(part, `apply ${files} files`, bench.floor.name, performance.now() - start);
  });
}

async function stack(bench: Bench): Promise<void> {
  const { stores, sizes, recorder, workshop } = bench;
  const layers: Layer[] = [await workshop.busybox()];
  while (layers.length < sizes.stack) layers.push(await workshop.files(`layer-${layers.length}`, 3));
  const image = workshop.image('stack', layers);
  for (const store of stores) store.stage([image]);
  const name = `prepare and mount ${sizes.stack} layers`;
  await everyStore(bench, 'stack', 1, async (store) => {
    await store.load([image]);
    execFileSync('sync');
    for (let round = 0; round < 6; round++) {
      const time = await store.create(`stack-${round}`, image);
      recorder.add('stack', round === 0 ? `${name}, first` : name, store.name, time);
      await store.destroy(`stack-${round}`);
    }
    await store.remove(image);
    await store.idle();
  });
}

async function write(bench: Bench): Promise<void> {
  const { stores, sizes, recorder, workshop } = bench;
  const big = workshop.image('big', [await workshop.busybox(), await workshop.large('big', sizes.big)]);
  for (const store of stores) store.stage([big]);
  const script = 'printf x | dd of=/big bs=1 count=1 conv=notrunc 2>/dev/null';
  await everyStore(bench, 'write', 1, async (store) => {
    await store.load([big]);
    for (let round = 0; round < 2; round++) {
      const key = `big-${round}`;
      await store.create(key, big);
      execFileSync('sync');
      recorder.add(
        'write',
        `first write to ${sizes.big >> 20} MiB`,
        store.name,
        await store.run(key, script),
      );
      await store.destroy(key);
    }
    await store.remove(big);
    await store.idle();
  });
}

function writes(count: number): string {
  return `i=0; mkdir /w; while [ $i -lt ${count} ]; do [ $((i % 1000)) -ne 0 ] || mkdir /w/$((i / 1000)); echo $i > /w/$((i / 1000))/$i; i=$((i + 1)); done`;
}

async function diff(bench: Bench): Promise<void> {
  const { stores, sizes, recorder, workshop } = bench;
  const base = workshop.image('base', [await workshop.busybox()]);
  for (const store of stores) store.stage([base]);
  await everyStore(bench, 'diff', 1, async (store) => {
    await store.load([base]);
    for (const count of [1, Math.min(1000, sizes.writes / 2), sizes.writes]) {
      const key = `diff-${count}`;
      await store.create(key, base);
      execFileSync('sync');
      const time = await store.run(key, writes(count));
      if (count === sizes.writes) recorder.add('diff', `${count} small writes`, store.name, time);
      const name = `diff of ${count} change${count === 1 ? '' : 's'}`;
      for (let round = 0; round < sizes.rounds; round++) {
        recorder.add('diff', name, store.name, await store.changes(key));
      }
      await store.destroy(key);
    }
    await store.remove(base);
    await store.idle();
  });
}

async function share(bench: Bench): Promise<void> {
  const { stores, sizes, recorder, workshop } = bench;
  const base = await workshop.files('small', sizes.small);
  const images: Image[] = [];
  for (let number = 0; number < sizes.images; number++) {
    images.push(workshop.image(`share-${number}`, [base, await workshop.files(`own-${number}`, 10)]));
  }
  for (const store of stores) store.stage(images);
  await everyStore(bench, 'share', 1, async (store) => {
    await store.idle();
    execFileSync('sync');
    const before = diskUsed(store.root);
    await store.load(images);
    await store.idle();
    execFileSync('sync');
    const used = (diskUsed(store.root) - before) / 2 ** 20;
    recorder.add('share', `disk used by ${sizes.images} images`, store.name, used, 'MiB');
    for (const image of images) await store.remove(image);
    await store.idle();
  });
}

async function applySmall(bench: Bench): Promise<void> {
  const { small } = bench.sizes;
  await applyFiles(bench, 'apply', await bench.workshop.files('small', small), small);
}

async function applyLarge(bench: Bench): Promise<void> {
  const { large } = bench.sizes;
  await applyFiles(bench, 'apply-large', await bench.workshop.files('large', large), large);
}

/** By the names that `--parts=` takes, in the order in which they are measured. */
export const parts: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  stack,
  diff,
  write,
  apply: applySmall,
  share,
  'apply-large': applyLarge,
};
