/**
 * The part `read` of the storage benchmark: speeds of reading through a container's root of the driver `erofs`, beside what it
 * is put together from, so that a reader sees what is whose: a plain folder on the disk's file system, overlayfs over such
 * folders (which is what docker's overlay2 mounts), and the layer's own mount without overlayfs. The reader is a program in C.
 */
import { lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyLayer, compressLayer } from '../packages/varve/src/layer/index.ts';
import { median, must } from './harness.ts';
import type { Cell, Unit } from './storage-cells.ts';
import type { Layer } from './storage-images.ts';
import type { Bench } from './storage-parts.ts';
import { OurStore } from './storage-stores.ts';

const plain = 'plain folder';
const overlay = 'overlayfs on it';
const alone = 'erofs alone';
const ours = 'erofs';
const places = [plain, overlay, alone, ours] as const;
type Place = (typeof places)[number];

/** Of a plain folder's speed. */
const goal = 0.9;

/** What is read: a layer with one name at its top. */
interface Subject {
  readonly top: string;
  readonly title: string;
  readonly layer: Layer;
  readonly kind: 'tree' | 'file';
}

/** Reads are fast and others may be at work on the machine, so that many rounds are cheap and needed. */
const cachedRounds = 15;
const coldRounds = 3;

/** A case of the reader; speeds of what is cached are per second of processor time, which others' load does not change. */
interface Case {
  readonly kind: 'tree' | 'open' | 'stat' | 'file' | 'random';
  readonly of: Subject['kind'];
  readonly cold: boolean;
  readonly title: (subject: string) => string;
  readonly unit: Unit;
}

const cases: readonly Case[] = [
  { kind: 'tree', of: 'tree', cold: true, title: (what) => `read ${what}, nothing cached`, unit: 'MiB/s' },
  { kind: 'tree', of: 'tree', cold: false, title: (what) => `read ${what}, cached`, unit: 'MiB/s' },
  {
    kind: 'stat',
    of: 'tree',
    cold: false,
    title: (what) => `list and stat ${what}, cached`,
    unit: 'files/ms',
  },
  {
    kind: 'open',
    of: 'tree',
    cold: false,
    title: (what) => `only open and close ${what}, cached`,
    unit: 'files/ms',
  },
  { kind: 'file', of: 'file', cold: true, title: (what) => `read ${what}, nothing cached`, unit: 'MiB/s' },
  { kind: 'file', of: 'file', cold: false, title: (what) => `read ${what}, cached`, unit: 'MiB/s' },
  {
    kind: 'random',
    of: 'file',
    cold: false,
    title: (what) => `read 4 KiB at a time in ${what}, cached`,
    unit: 'MiB/s',
  },
];

/** Measures them all. @param folder an empty one, on the file system on which the stores are. */
export async function measureReads(bench: Bench, folder: string): Promise<void> {
  const { stores, recorder, stopped } = bench;
  const store = stores.find((other) => other.name === ours);
  if (!(store instanceof OurStore)) {
    recorder.miss('read', ours, 'the driver is not among the stores of this run');
    return;
  }
  const reader = join(folder, 'reader');
  try {
    must(['cc', '-O2', '-o', reader, join(import.meta.dirname, 'storage-reader.c')]);
  } catch (error) {
    recorder.miss('read', ours, `the reader needs a C compiler: ${String(error).slice(0, 200)}`);
    return;
  }
  const subjects = await makeSubjects(bench, folder);
  const roots = await mountAll(bench, store, subjects, folder);
  try {
    for (const subject of subjects) {
      for (const one of cases.filter(({ of }) => of === subject.kind)) {
        if (stopped() === undefined) measure(bench, one, subject, roots, reader);
      }
    }
  } finally {
    must(['umount', join(folder, 'overlay')]);
    await store.destroy('reader');
  }
}

async function makeSubjects({ workshop, sizes }: Bench, folder: string): Promise<Subject[]> {
  const small = await workshop.files('small', sizes.small);
  const debian = await debianLayer(folder);
  const megabytes = sizes.one >> 20;
  return [
    ...(debian ? [debian] : []),
    { top: 'small', title: `${sizes.small} files of 1 to 40 KB`, layer: small, kind: 'tree' },
    {
      top: 'one',
      title: `one file of ${megabytes} MiB`,
      layer: await workshop.large('one', sizes.one),
      kind: 'file',
    },
  ];
}

/** What a small Debian has in /usr, from this machine; undefined on another system. */
async function debianLayer(folder: string): Promise<Subject | undefined> {
  let packages: string[];
  try {
    packages = must(['dpkg-query', '-W', '-f', '${Priority} ${Package}\n'])
      .split('\n')
      .filter((line) => /^(required|important|standard) /.test(line))
      .map((line) => line.split(' ')[1] as string);
  } catch {
    return undefined;
  }
  const names = new Set<string>();
  let files = 0;
  for (const line of must(['dpkg-query', '-L', ...packages]).split('\n')) {
    // Packages of Debian 12 still have files in /lib and /bin, which are links into /usr.
    const path = line.startsWith('/usr/') ? line : `/usr${line}`;
    const found = line.startsWith('/') ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
    if (!found || path === '/usr/.' || names.has(path.slice(1))) continue;
    names.add(path.slice(1));
    if (found.isFile()) files++;
  }
  const [list, tar, path] = [join(folder, 'list'), join(folder, 'usr.tar'), join(folder, 'usr.tar.gz')];
  writeFileSync(list, [...names].join('\n'));
  must(['tar', '-C', '/', '--no-recursion', '-T', list, '-cf', tar]);
  const { diffId } = await compressLayer({ path: tar, compression: 'none' }, path, 'gzip');
  rmSync(tar);
  return { top: 'usr', title: `/usr of a Debian (${files} files)`, layer: { path, diffId }, kind: 'tree' };
}

type Roots = Readonly<Record<Place, (subject: Subject) => string>>;

/** Every place shows all subjects, each a layer; gives where a subject's layer starts in each. */
async function mountAll(
  { workshop }: Bench,
  store: OurStore,
  subjects: readonly Subject[],
  folder: string,
): Promise<Roots> {
  const folderOf = ({ top }: Subject): string => join(folder, 'plain', top);
  for (const subject of subjects) {
    const root = folderOf(subject);
    mkdirSync(root, { recursive: true });
    const { path } = subject.layer;
    await applyLayer({ path, compression: 'gzip' }, { root, whiteouts: 'apply' });
  }
  const merged = join(folder, 'overlay');
  const [upper, work] = [join(folder, 'upper'), join(folder, 'work')];
  for (const path of [merged, upper, work]) mkdirSync(path);
  const lowers = subjects.map(folderOf).join(':');
  const options = `index=off,redirect_dir=off,metacopy=off,lowerdir=${lowers},upperdir=${upper},workdir=${work}`;
  must(['mount', '-t', 'overlay', 'overlay', '-o', options, merged]);
  const image = workshop.image(
    'read',
    subjects.map(({ layer }) => layer),
  );
  await store.load([image]);
  await store.create('reader', image);
  // Topmost first, as docker inspect shows it.
  const layers = (store.driver.metadata('reader')['LowerDir'] ?? '').split(':').toReversed();
  return {
    [plain]: folderOf,
    [overlay]: () => merged,
    [alone]: (subject) => layers[subjects.indexOf(subject)] as string,
    [ours]: () => store.rootOf('reader'),
  };
}

function measure({ recorder }: Bench, one: Case, subject: Subject, roots: Roots, reader: string): void {
  const paths = places.map((place) => join(roots[place](subject), subject.top));
  const rounds = one.cold ? coldRounds : cachedRounds;
  const printed = must([reader, ...(one.cold ? ['--cold'] : []), one.kind, String(rounds), ...paths]);
  for (const line of printed.trim().split('\n')) {
    const [at = 0, bytes = 0, names = 0, wall = 0, processor = 0] = line.split(' ').map(Number);
    const seconds = (one.cold ? wall : processor) / 1e9;
    const speed = one.unit === 'MiB/s' ? bytes / 2 ** 20 / seconds : names / seconds / 1000;
    recorder.add('read', one.title(subject.title), places[at] as Place, speed, one.unit);
  }
}

const line = (words: readonly string[]): string => `| ${words.join(' | ')} |`;

/** The figures as a table of speeds, with those of erofs divided by the others', and which miss the goal. */
export function renderReads(cells: readonly Cell[]): string {
  const reads = cells.filter(({ part }) => part === 'read');
  const rows = [...new Set(reads.map(({ name }) => name))].map((name) => {
    const row = reads.filter((cell) => cell.name === name);
    const at = (place: Place): number => median(row.find(({ store }) => store === place)?.values ?? []);
    return { name, unit: row[0]?.unit, at, ratio: (one: Place, two: Place) => at(one) / at(two) };
  });
  if (rows.length === 0) return '';
  const pairs = [
    [alone, plain],
    [overlay, plain],
    [ours, plain],
    [ours, overlay],
  ] as const;
  const heads = [...places, ...pairs.map((pair) => pair.join(' ÷ '))];
  const lines = rows.map(({ name, unit, at, ratio }) =>
    line([
      `${name} (${unit})`,
      ...places.map((place) => at(place).toFixed(at(place) < 100 ? 1 : 0)),
      ...pairs.map(([one, two]) => ratio(one, two).toFixed(2)),
    ]),
  );
  const missed = rows
    .filter(({ ratio }) => !(ratio(ours, plain) >= goal))
    .map(
      ({ name, ratio }) =>
        `- ${name}: ${ratio(ours, plain).toFixed(2)} of a plain folder's speed (goal ≥ ${goal}), **not reached**; overlayfs over plain folders has ${ratio(overlay, plain).toFixed(2)}`,
    );
  return `Speeds of reading, medians; more is better. _${overlay}_ is overlayfs over plain folders, as docker's overlay2 mounts it; _${alone}_ is a layer's mount without overlayfs; _${ours}_ is a container's root. What is cached is measured by processor time, the rest by the clock.

${[line(['case', ...heads]), line(['---', ...heads.map(() => '---:')]), ...lines].join('\n')}${missed.length > 0 ? `\n\n${missed.join('\n')}` : ''}`;
}
