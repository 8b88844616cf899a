/**
 * How storage drivers do, ours beside docker's and podman's, as root:
 *
 *     node bench/storage.ts [--out=FOLDER] [--quick] [--parts=apply,write] [--stores=erofs,docker overlay2] [--limit=SECONDS]
 *     node bench/storage.ts --table --out=FOLDER
 *
 * Every run leaves its figures in a file of FOLDER, written anew with each figure; a run that is ended (SIGTERM) keeps what it
 * has. `--table` makes one table of all files there, the newest figures of each case and store, those of a quiet machine
 * before others, and writes it to bench/RESULTS.md and into the drivers' READMEs (of `--quick` runs it is only printed).
 * The stores take turns in every case, so that a change of the machine's load meets all alike. No step takes longer than
 * the limit; what met it is said in the table.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { storageDriverKinds } from '../packages/varve/src/bin/storage-drivers.ts';
import { must } from './harness.ts';
import { inNamespace, reenter } from './peers.ts';
import { writeResults } from './results.ts';
import { Recorder, readRuns } from './storage-cells.ts';
import { measureGuest } from './storage-guest.ts';
import { Workshop } from './storage-images.ts';
import { machine, peerVersions } from './storage-machine.ts';
import { type Bench, parts, quickSizes, realSizes, reasonOf } from './storage-parts.ts';
import { measureReads } from './storage-read.ts';
import { OurStore, podmanStore, type Store, startDocker } from './storage-stores.ts';
import { renderBlocks, renderResults, writeBlocks } from './storage-table.ts';

const { values: options } = parseArgs({
  options: {
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
    parts: { type: 'string' },
    stores: { type: 'string' },
    limit: { type: 'string', default: '300' },
    table: { type: 'boolean', default: false },
  },
});
const { quick } = options;
const size = quick ? quickSizes : realSizes;
const allParts = [...Object.keys(parts), 'read', 'guest'];
const wanted = options.parts?.split(',') ?? allParts;
const unknown = wanted.find((part) => !allParts.includes(part));
if (unknown !== undefined)
  throw new Error(`no part is called "${unknown}"; there are ${allParts.join(', ')}`);
const names = options.stores?.split(',');
const chosen = (store: string): boolean => names === undefined || names.includes(store);
const limitMs = Number(options.limit) * 1000;
if (!(limitMs > 0)) throw new Error(`--limit is a number of seconds: ${options.limit}`);

if (options.table) {
  if (options.out === undefined) throw new Error('--table needs --out=FOLDER, where the runs are');
  const runs = readRuns(options.out);
  const text = renderResults(runs);
  if (!runs.some(({ isQuick }) => isQuick)) {
    writeResults(text);
    writeBlocks(renderBlocks(runs));
  }
  console.log(text);
  process.exit();
}
if (!inNamespace) process.exit(reenter('--mount'));

const out = options.out ?? mkdtempSync('/var/tmp/varve-storage-figures-');
const folder = mkdtempSync('/var/tmp/varve-bench-');
const head = {
  started: new Date().toISOString(),
  isQuick: quick,
  machine: machine(),
  peers: peerVersions(),
} as const;
const recorder = new Recorder(out, { ...head, place: 'host' });
const guest = new Recorder(out, { ...head, place: 'guest' });
let signalled: string | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    signalled = `the run was ended by ${signal}`;
  });
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
  return target;
}

/** Our driver of a name, unless it cannot run here. */
async function openOurs(name: string): Promise<Store> {
  const root = name === 'btrfs' ? btrfsFolder('ours-btrfs') : join(folder, `ours-${name}`);
  mkdirSync(root, { recursive: true });
  const driver = storageDriverKinds(root)
    .find((kind) => kind.name === name)
    ?.create([]);
  if (!driver) throw new Error('there is no such driver');
  const probe = await driver.probe();
  if (!probe.ok) throw new Error(probe.reason);
  return new OurStore(driver, root, limitMs);
}

async function openDocker(driver: string, workshop: Workshop): Promise<Store> {
  const root = driver === 'btrfs' ? btrfsFolder('docker-btrfs') : join(folder, `docker-${driver}`);
  return await startDocker(driver, root, join(folder, `run-${driver}`), workshop, limitMs);
}

/** Every chosen store that can be opened; why another cannot is recorded for all parts. */
async function openStores(workshop: Workshop): Promise<Store[]> {
  const openers = new Map<string, () => Store | Promise<Store>>();
  for (const { name } of storageDriverKinds(folder)) {
    // Measured in the guest.
    if (name !== 'devicemapper') openers.set(name, async () => await openOurs(name));
  }
  for (const driver of ['overlay2', 'vfs', 'btrfs']) {
    openers.set(`docker ${driver}`, async () => await openDocker(driver, workshop));
  }
  openers.set('podman overlay', () => {
    must(['podman', '--version']);
    return podmanStore(join(folder, 'podman'), join(folder, 'run-podman'), workshop, limitMs);
  });
  const stores: Store[] = [];
  for (const [name, open] of openers) {
    if (!chosen(name)) continue;
    try {
      stores.push(await open());
    } catch (error) {
      for (const part of wanted) if (part in parts) recorder.miss(part, name, reasonOf(error));
    }
  }
  return stores;
}

let stores: Store[] = [];
try {
  // ext4 looks at each inode that was deleted lately in a group for every new file there: each store gets groups of its own.
  spawnSync('chattr', ['+T', folder]);
  const workshop = new Workshop(join(folder, 'images'));
  if (wanted.some((part) => part !== 'guest')) stores = await openStores(workshop);
  const bench: Bench = {
    stores,
    sizes: size,
    recorder,
    workshop,
    floor: { name: 'gzip, sha256sum', argv: ['sh', '-c', 'gzip -dc < "$0" | sha256sum'] },
    stopped: () => signalled,
  };
  for (const [part, measure] of Object.entries(parts)) {
    if (!wanted.includes(part)) continue;
    const start = performance.now();
    if (signalled === undefined) await measure(bench);
    else for (const { name } of stores) recorder.miss(part, name, signalled);
    console.log(
      `${part}: ${((performance.now() - start) / 1000).toFixed(0)} s with what it is made ready with`,
    );
  }
  if (wanted.includes('read') && signalled === undefined) {
    const place = join(folder, 'read');
    mkdirSync(place);
    await measureReads(bench, place);
  }
  if (wanted.includes('guest') && signalled === undefined) {
    await measureGuest(guest, limitMs);
  }
  console.log(
    `\n${recorder.times()}\n${guest.times()}\n\n${renderResults(readRuns(out))}\n\nFigures are in ${out}`,
  );
} finally {
  for (const store of stores) await store.close().catch((error: unknown) => console.error(String(error)));
  execFileSync('sh', [
    '-c',
    `awk '$5 ~ "^${folder}" {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l; rm -rf --one-file-system ${folder}`,
  ]);
}
