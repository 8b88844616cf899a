/**
 * How storage drivers do, ours beside docker's and podman's: `node bench/storage.ts [--quick] [--stores=erofs,docker overlay2,…]
 * [PART…]`, as root; the parts are apply, stack, write, diff, share and read, all unless named. A complete run writes its part of bench/RESULTS.md. The
 * stores take turns in every case, so that a change of the machine's load meets all alike.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { applyLayer } from '../packages/varve/src/layer/index.ts';
import { storageDriverKinds } from '../packages/varve/src/bin/storage-drivers.ts';
import { median, must } from './harness.ts';
import { inNamespace, reenter } from './peers.ts';
import { writeResults } from './results.ts';
import { type Image, type Layer, Workshop } from './storage-images.ts';
import { diskUsed, OurStore, podmanStore, type Store, startDocker } from './storage-stores.ts';

if (!inNamespace) process.exit(reenter());

const quick = process.argv.includes('--quick');
const only = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const names = process.argv
  .find((word) => word.startsWith('--stores='))
  ?.slice('--stores='.length)
  .split(',');
const chosen = (store: string): boolean => names === undefined || names.includes(store);
const wanted = (part: string): boolean => only.length === 0 || only.includes(part);
const size = quick
  ? { small: 1000, large: 5000, stack: 30, big: 64 << 20, one: 64 << 20, writes: 2000, images: 3, rounds: 1 }
  : {
      small: 10_000,
      large: 65_000,
      stack: 100,
      big: 1 << 30,
      one: 512 << 20,
      writes: 20_000,
      images: 10,
      rounds: 3,
    };

/** Counted from the start of this process: when no case is begun for one more round, and when for no further store. */
const patienceMs = 4 * 60_000;
const limitMs = 9 * 60_000;
/** Measured first, should time run out. */
const foremost = ['erofs', 'docker overlay2', 'overlay2', 'podman overlay'];
const folder = mkdtempSync('/var/tmp/varve-bench-');
const disks: string[] = [];

interface Cell {
  readonly values: number[];
  readonly unit: 'ms' | 'MiB';
}
/** By case, then by store. */
const table = new Map<string, Map<string, Cell>>();
const notes: string[] = [];
const loads: number[] = [];

function note(text: string): void {
  if (notes.includes(text)) return;
  notes.push(text);
  console.error(text);
}

function add(name: string, store: string, value: number, unit: Cell['unit'] = 'ms'): void {
  const row = table.get(name) ?? new Map<string, Cell>();
  table.set(name, row);
  const cell = row.get(store) ?? { values: [], unit };
  row.set(store, cell);
  cell.values.push(value);
  loads.push(loadavg()[0] as number);
  console.log(`${name.padEnd(44)} ${store.padEnd(16)} ${value.toFixed(1).padStart(9)} ${unit}`);
}

/** A folder on a new file system in a file. */
function btrfsFolder(name: string): string {
  const image = join(folder, `${name}.img`);
  const target = join(folder, name);
  writeFileSync(image, '');
  truncateSync(image, 24 * 2 ** 30);
  must(['mkfs.btrfs', '-q', image]);
  mkdirSync(target);
  must(['mount', '-o', 'loop', image, target]);
  disks.push(target);
  return target;
}

async function openStores(workshop: Workshop): Promise<Store[]> {
  const stores: Store[] = [];
  for (const { name } of storageDriverKinds(folder)) {
    if (!chosen(name)) continue;
    try {
      const root = name === 'btrfs' ? btrfsFolder('ours-btrfs') : join(folder, `ours-${name}`);
      mkdirSync(root, { recursive: true });
      const kind = storageDriverKinds(root).find((other) => other.name === name);
      const driver = kind?.create([]);
      if (!driver) continue;
      const probe = await driver.probe();
      if (probe.ok) stores.push(new OurStore(driver, root));
      else note(`${name} is not measured: ${probe.reason}`);
    } catch (error) {
      note(`${name} is not measured: ${String(error)}`);
    }
  }
  for (const driver of ['overlay2', 'vfs', 'btrfs']) {
    if (!chosen(`docker ${driver}`)) continue;
    try {
      const root = driver === 'btrfs' ? btrfsFolder('docker-btrfs') : join(folder, `docker-${driver}`);
      stores.push(await startDocker(driver, root, join(folder, `run-${driver}`), workshop));
    } catch (error) {
      note(`docker's ${driver} is not measured: ${String(error)}`);
    }
  }
  if (!chosen('podman overlay')) return stores;
  if (spawnSync('podman', ['--version']).status === 0)
    stores.push(podmanStore(join(folder, 'podman'), join(folder, 'run-podman'), workshop));
  else note("podman's overlay is not measured: there is no podman");
  return stores;
}

/** Runs something for every store in turn, several rounds; a store that fails is left out of the rest of the case. */
async function everyStore(
  stores: readonly Store[],
  rounds: number,
  work: (store: Store, round: number) => Promise<void>,
): Promise<void> {
  const failed = new Set<Store>();
  for (let round = 0; round < rounds; round++) {
    // The whole is to be done in ten minutes, also on a slow machine: one round of everything goes before a second.
    if (round > 0 && performance.now() > patienceMs) return;
    for (const store of stores) {
      if (failed.has(store)) continue;
      if (!quick && performance.now() > limitMs) {
        note(`${store.name} is missing where time ran out`);
        failed.add(store);
        continue;
      }
      try {
        await work(store, round);
      } catch (error) {
        failed.add(store);
        note(`${store.name}: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`);
      }
    }
  }
}

async function apply(stores: readonly Store[], image: Image, files: number, rounds: number): Promise<void> {
  for (const store of stores) store.stage([image]);
  const [path] = image.layers.map((layer) => layer.path);
  await everyStore(stores, rounds, async (store) => {
    // What an earlier round left to the disk or deletes is not this one's time.
    await store.idle();
    execFileSync('sync');
    add(`apply ${files} files`, store.name, await store.load([image]));
    add(`remove ${files} files`, store.name, await store.remove(image));
    if (store === stores[0]) floor(path as string, files);
  });
}

function floor(path: string, files: number): void {
  const start = performance.now();
  must(['sh', '-c', 'gzip -dc < "$0" | sha256sum', path]);
  add(`apply ${files} files`, 'gzip, sha256sum', performance.now() - start);
}

async function stack(stores: readonly Store[], image: Image): Promise<void> {
  for (const store of stores) store.stage([image]);
  const name = `prepare and mount ${size.stack} layers`;
  await everyStore(stores, 1, async (store) => {
    await store.load([image]);
    for (let round = 0; round < 6; round++) {
      const time = await store.create(`stack-${round}`, image);
      add(round === 0 ? `${name}, first` : name, store.name, time);
      await store.destroy(`stack-${round}`);
    }
    await store.remove(image);
  });
}

async function write(stores: readonly Store[], big: Image): Promise<void> {
  for (const store of stores) store.stage([big]);
  await everyStore(stores, 1, async (store) => {
    await store.load([big]);
    execFileSync('sync');
    for (let round = 0; round < 2; round++) {
      const key = `big-${round}`;
      await store.create(key, big);
      const script = 'printf x | dd of=/big bs=1 count=1 conv=notrunc 2>/dev/null';
      add(`first write to ${size.big >> 20} MiB`, store.name, await store.run(key, script));
      await store.destroy(key);
    }
    await store.remove(big);
    await store.idle();
  });
}

function writes(count: number): string {
  return `i=0; mkdir /w; while [ $i -lt ${count} ]; do [ $((i % 1000)) -ne 0 ] || mkdir /w/$((i / 1000)); echo $i > /w/$((i / 1000))/$i; i=$((i + 1)); done`;
}

async function diff(stores: readonly Store[], base: Image): Promise<void> {
  for (const store of stores) store.stage([base]);
  await everyStore(stores, 1, async (store) => {
    await store.load([base]);
    for (const count of [1, 1000, size.writes]) {
      const key = `diff-${count}`;
      await store.create(key, base);
      const time = await store.run(key, writes(count));
      if (count === size.writes) add(`${count} small writes`, store.name, time);
      for (let round = 0; round < size.rounds; round++)
        add(`diff of ${count} change${count === 1 ? '' : 's'}`, store.name, await store.changes(key));
      await store.destroy(key);
    }
    await store.remove(base);
    await store.idle();
  });
}

async function share(stores: readonly Store[], images: readonly Image[]): Promise<void> {
  for (const store of stores) store.stage(images);
  await everyStore(stores, 1, async (store) => {
    await store.idle();
    execFileSync('sync');
    const before = diskUsed(store.root);
    await store.load(images);
    await store.idle();
    execFileSync('sync');
    add(`disk used by ${images.length} images`, store.name, (diskUsed(store.root) - before) / 2 ** 20, 'MiB');
    for (const image of images) await store.remove(image);
  });
}

function readAll(root: string): number {
  let bytes = 0;
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) bytes += readAll(path);
    else if (entry.isFile()) bytes += readFileSync(path).length;
  }
  return bytes;
}

function readFile(path: string): number {
  const buffer = Buffer.allocUnsafe(1 << 20);
  const fd = openSync(path, 'r');
  try {
    for (let bytes = 0; ; ) {
      const read = readSync(fd, buffer);
      if (read === 0) return bytes;
      bytes += read;
    }
  } finally {
    closeSync(fd);
  }
}

/** Reads through our mounts beside the same files on the disk's own file system. */
async function read(
  stores: readonly Store[],
  image: Image,
  layers: readonly Layer[],
  files: number,
): Promise<void> {
  const plain = join(folder, 'plain');
  mkdirSync(plain);
  for (const { path } of layers) {
    await applyLayer({ path, compression: 'gzip' }, { root: plain, whiteouts: 'apply' });
  }
  const roots = new Map([['plain folder', plain]]);
  const ours = stores.filter((store) => store instanceof OurStore);
  for (const store of ours) {
    if (store.name !== 'erofs' && store.name !== 'overlay2') continue;
    await store.load([image]);
    await store.create('reader', image);
    roots.set(store.name, store.rootOf('reader'));
  }
  const one = `read one file of ${size.one >> 20} MiB`;
  for (const [name, work, cold] of [
    [`read ${files} files, nothing cached`, readAll, true],
    [`read ${files} files, cached`, readAll, false],
    [`${one}, nothing cached`, (root: string) => readFile(join(root, 'one')), true],
    [`${one}, cached`, (root: string) => readFile(join(root, 'one')), false],
  ] as const) {
    for (let round = 0; round < size.rounds; round++) {
      for (const [store, root] of roots) {
        if (cold) {
          execFileSync('sync');
          writeFileSync('/proc/sys/vm/drop_caches', '3');
        } else work(root);
        const start = performance.now();
        work(root);
        add(name, store, performance.now() - start);
      }
    }
  }
  for (const store of ours) if (roots.has(store.name)) await store.destroy('reader');
}

function report(): string {
  const names = [...new Set([...table.values()].flatMap((row) => [...row.keys()]))];
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const show = (cell: Cell | undefined): string =>
    cell ? median(cell.values).toFixed(median(cell.values) < 100 ? 1 : 0) : '';
  const rows = [...table].map(([name, row]) => {
    const unit = [...row.values()][0]?.unit ?? 'ms';
    const at = (store: string): number | undefined => {
      const cell = row.get(store);
      return cell && median(cell.values);
    };
    const ratio = (other: string): string => {
      const [ours, theirs] = [at('erofs'), at(other)];
      return ours === undefined || theirs === undefined || theirs === 0 ? '' : (ours / theirs).toFixed(2);
    };
    return line([
      `${name} (${unit})`,
      ...names.map((store) => show(row.get(store))),
      ratio('docker overlay2'),
    ]);
  });
  const version = (program: string): string =>
    spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0] ?? `${program}: not found`;
  return `# Storage drivers side by side

Made by \`node bench/storage.ts\`${quick ? ' `--quick`' : ''} on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, kernel ${release()}, Node ${process.version}; ${version('dockerd')}; ${version('podman')}. Median load while measuring: ${median(loads).toFixed(1)}.
Medians. Ours are measured in one process, to where a layer would survive a power cut; docker's and podman's are whole commands (\`load\`, \`rmi\`, \`create\`, \`diff\`), which wait for no disk, and what a shell in a container reads off its clock (writes). Layers are gzip; btrfs stands on a file.

${line(['case', ...names, 'erofs ÷ docker overlay2'])}
${line(['---', ...names.map(() => '---:'), '---:'])}
${rows.join('\n')}

Goals for erofs: apply ≤ 0.4 of docker's overlay2 and ≤ 1.3 of \`gzip -dc | sha256sum\`; ${size.stack} layers prepared and mounted in ≤ 20 ms; removal ≤ 50 ms; reads ≥ 0.9 of a plain folder's speed.
${notes.map((text) => `\n- ${text}`).join('')}
`;
}

let stores: Store[] = [];
try {
  const workshop = new Workshop(join(folder, 'images'));
  const busybox = await workshop.busybox();
  const rank = ({ name }: Store): number => (foremost.indexOf(name) + 1 || foremost.length + 1) - 1;
  stores = (await openStores(workshop)).sort((a, b) => rank(a) - rank(b));
  if (wanted('stack')) {
    const layers: Layer[] = [busybox];
    while (layers.length < size.stack) layers.push(await workshop.files(`layer-${layers.length}`, 3));
    await stack(stores, workshop.image('stack', layers));
  }
  if (wanted('diff')) await diff(stores, workshop.image('base', [busybox]));
  if (wanted('write')) {
    const big = workshop.image('big', [busybox, await workshop.large('big', size.big)]);
    await write(stores, big);
  }
  if (wanted('apply') || wanted('share') || wanted('read')) {
    const small = await workshop.files('small', size.small);
    if (wanted('apply')) await apply(stores, workshop.image('small', [small]), size.small, size.rounds);
    if (wanted('share')) {
      const images: Image[] = [];
      for (let number = 0; number < size.images; number++) {
        images.push(workshop.image(`share-${number}`, [small, await workshop.files(`own-${number}`, 10)]));
      }
      await share(stores, images);
    }
    const large = await workshop.files('large', size.large);
    if (wanted('apply')) {
      await apply(stores, workshop.image('large', [large]), size.large, quick ? 1 : 2);
    }
    if (wanted('read')) {
      const layers = [large, await workshop.large('one', size.one)];
      await read(stores, workshop.image('read', layers), layers, size.large);
    }
  }
  const text = report();
  if (only.length === 0 && names === undefined) writeResults(text);
  console.log(text);
} finally {
  for (const store of stores) await store.close().catch((error: unknown) => console.error(String(error)));
  for (const disk of disks) spawnSync('umount', ['-l', disk]);
  execFileSync('sh', [
    '-c',
    `awk '$5 ~ "^${folder}" {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l; rm -rf --one-file-system ${folder}`,
  ]);
}
