/** Tables of the storage benchmark's figures: its part of bench/RESULTS.md, and a block in each driver's README. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { median } from './harness.ts';
import {
  type Cell,
  isDisturbed,
  type Merged,
  merge,
  type Place,
  quietLoad,
  type Run,
} from './storage-cells.ts';
import { renderReads } from './storage-read.ts';

const drivers = resolve(import.meta.dirname, '../packages/varve/src/storage/drivers');

/** Order of the columns. */
const columns: Readonly<Record<Place, readonly string[]>> = {
  host: [
    ...['erofs', 'gzip, sha256sum', 'overlay2', 'vfs', 'overlay', 'btrfs', 'aufs'],
    ...['docker overlay2', 'docker vfs', 'docker btrfs', 'podman overlay'],
  ],
  guest: ['devicemapper', 'overlay2', 'vfs', 'tar -xzf, sync'],
};
/** Order of the rows. */
const order = ['stack', 'diff', 'write', 'apply', 'share', 'apply-large'];

/** What a driver's README shows beside it. */
const beside: Readonly<Record<string, readonly string[]>> = {
  erofs: ['overlay2', 'docker overlay2', 'podman overlay', 'gzip, sha256sum'],
  overlay2: ['erofs', 'docker overlay2', 'podman overlay', 'gzip, sha256sum'],
  vfs: ['docker vfs', 'overlay2', 'erofs', 'gzip, sha256sum'],
  overlay: ['overlay2', 'docker overlay2', 'podman overlay', 'gzip, sha256sum'],
  btrfs: ['docker btrfs', 'overlay2', 'erofs', 'gzip, sha256sum'],
  aufs: ['overlay2', 'docker overlay2', 'erofs', 'gzip, sha256sum'],
};

/** One case in all stores. */
class Row {
  readonly name: string;
  readonly part: string;
  readonly unit: string;
  readonly #cells: ReadonlyMap<string, Cell>;

  constructor(cells: readonly Cell[]) {
    const [{ name, part, unit }] = cells as [Cell];
    this.name = name;
    this.part = part;
    this.unit = unit;
    this.#cells = new Map(cells.map((cell) => [cell.store, cell]));
  }

  at(store: string): number | undefined {
    const cell = this.#cells.get(store);
    return cell && median(cell.values);
  }

  show(store: string): string {
    const value = this.at(store);
    if (value === undefined) return '';
    const marks = marksOf(this.#cells.get(store) as Cell).join('');
    return `${value.toFixed(value < 100 ? 1 : 0)}${marks}`;
  }

  isDisturbed(store: string): boolean {
    const cell = this.#cells.get(store);
    return cell !== undefined && isDisturbed(cell);
  }

  ratio(store: string, other: string): string {
    const [one, two] = [this.at(store), this.at(other)];
    return one === undefined || two === undefined || two === 0 ? '' : (one / two).toFixed(2);
  }
}

function rowsOf(cells: readonly Cell[]): Row[] {
  // Those of reading are speeds, and have a table of their own.
  const names = [...new Set(cells.filter(({ part }) => part !== 'read').map(({ name }) => name))];
  const rows = names.map((name) => new Row(cells.filter((cell) => cell.name === name)));
  return rows.sort((a, b) => order.indexOf(a.part) - order.indexOf(b.part));
}

const line = (words: readonly string[]): string => `| ${words.join(' | ')} |`;

/** @param ratios pairs of columns, the first to be divided by the second. */
function table(
  rows: readonly Row[],
  stores: readonly string[],
  ratios: readonly (readonly [string, string])[],
): string {
  const known = stores.filter((store) => rows.some((row) => row.at(store) !== undefined));
  const heads = [...known, ...ratios.map((pair) => pair.join(' ÷ '))];
  return [
    line(['case', ...heads]),
    line(['---', ...heads.map(() => '---:')]),
    ...rows.map((row) =>
      line([
        `${row.name} (${row.unit})`,
        ...known.map((store) => row.show(store)),
        ...ratios.map(([one, two]) => row.ratio(one, two)),
      ]),
    ),
  ].join('\n');
}

const meanings: Readonly<Record<string, string>> = {
  '¹': 'Measured once, since it takes long.',
  '†': `Measured while others used the machine (load above ${quietLoad}): to be compared with others of that kind only.`,
};

function marksOf({ isCut, loads, unit }: Cell): string[] {
  return [...(isCut ? ['¹'] : []), ...(isDisturbed({ loads, unit }) ? ['†'] : [])];
}

function footnotes(cells: readonly Cell[]): string {
  const used = new Set(cells.filter(({ part }) => part !== 'read').flatMap(marksOf));
  return Object.entries(meanings)
    .filter(([mark]) => used.has(mark))
    .map(([mark, meaning]) => `\n\n${mark} ${meaning}`)
    .join('');
}

function days(runs: readonly Run[]): string {
  const all = [...new Set(runs.map(({ started }) => started.slice(0, 10)))];
  return all.length > 1 ? `${all[0]} to ${all.at(-1)}` : (all[0] ?? '');
}

/** Each goal of erofs with what was measured. */
function goals(rows: readonly Row[]): string {
  const found = rows.flatMap((row) => {
    const ours = row.at('erofs');
    if (ours === undefined) return [];
    const judge = (what: string, value: number | undefined, holds: (value: number) => boolean): string[] =>
      value === undefined
        ? []
        : [
            `${row.name}: ${value.toFixed(2)} ${what}${holds(value) ? '' : ', **not reached**'}${row.isDisturbed('erofs') ? ', under load' : ''}`,
          ];
    const over = (other: string): number | undefined => {
      const theirs = row.at(other);
      return theirs === undefined || theirs === 0 ? undefined : ours / theirs;
    };
    if (row.name.startsWith('apply')) {
      return [
        ...judge("of docker's overlay2 (goal ≤ 0.4)", over('docker overlay2'), (value) => value <= 0.4),
        ...judge('of `gzip -dc \\| sha256sum` (≤ 1.3)', over('gzip, sha256sum'), (value) => value <= 1.3),
      ];
    }
    if (row.name.startsWith('remove')) return judge('ms (≤ 50)', ours, (value) => value <= 50);
    if (row.part === 'stack') return judge('ms (≤ 20)', ours, (value) => value <= 20);
    return [];
  });
  return found.length === 0 ? '' : `\n\nGoals for erofs:\n${found.map((text) => `\n- ${text}`).join('')}`;
}

function missing({ missing: all }: Merged): string {
  const reasons = new Map<string, string[]>();
  for (const { part, store, reason } of all) {
    reasons.set(`${store}: ${reason}`, [...(reasons.get(`${store}: ${reason}`) ?? []), part]);
  }
  const lines = [...reasons].map(([what, where]) => `- not measured (${where.join(', ')}): ${what}`);
  return lines.length === 0 ? '' : `\n\n${lines.join('\n')}`;
}

const guestNote =
  'devicemapper, which this kernel lacks, is measured in a guest (user-mode-linux, one processor, system calls many times as slow as on the host), on a loop device in memory, with layers that fit there (2,000 files are 24 MB), and so are two other drivers and `tar -xzf` with `sync` beside it. Only the ratios within this table mean something.';

function load(cells: readonly Cell[]): string {
  const loads = cells.flatMap((cell) => cell.loads);
  const isKnown = cells.length > 0 && cells.every((cell) => cell.loads.length > 0);
  return isKnown ? ` Median load while measuring: ${median(loads).toFixed(1)}.` : '';
}

function hostText(host: Merged): string {
  const newest = host.runs.at(-1) as Run;
  const rows = rowsOf(host.cells);
  return `Made by \`node bench/storage.ts${newest.isQuick ? ' --quick' : ''}\` on ${days(host.runs)} in ${host.runs.length} run${host.runs.length === 1 ? '' : 's'}: ${[newest.machine, ...newest.peers].join('; ')}.${load(host.cells)}
Medians. Ours are measured in one process, to where a layer would survive a power cut; docker's and podman's are whole commands (\`load\`, \`rmi\`, \`create\`, \`diff\`), which wait for no disk; what a script in a container takes (writes) is read off its own clock. Layers are gzip; btrfs stands on a file.

${table(rows, columns.host, [['erofs', 'docker overlay2']])}${footnotes(host.cells)}${goals(rows)}${missing(host)}`;
}

function guestText(guest: Merged): string {
  const others = columns.guest.slice(1);
  const ratios = others.map((other) => ['devicemapper', other] as const);
  const when = `Made on ${days(guest.runs)}.${load(guest.cells)}`;
  return `${guestNote} ${when}\n\n${table(rowsOf(guest.cells), columns.guest, ratios)}${footnotes(guest.cells)}${missing(guest)}`;
}

/** The benchmark's part of bench/RESULTS.md. */
export function renderResults(runs: readonly Run[]): string {
  const [host, guest] = [merge(runs, 'host'), merge(runs, 'guest')];
  const sections = ['# Storage drivers side by side'];
  if (host.runs.length > 0) sections.push(hostText(host));
  const reads = renderReads(host.cells);
  if (reads !== '') sections.push(`## Reading\n\n${reads}`);
  if (guest.runs.length > 0) {
    sections.push(`## devicemapper, in a guest\n\n${guestText(guest)}`);
  }
  return sections.join('\n\n');
}

/** The block of each driver's README, by the driver's name. */
export function renderBlocks(runs: readonly Run[]): Map<string, string> {
  const [host, guest] = [merge(runs, 'host'), merge(runs, 'guest')];
  const rows = rowsOf(host.cells);
  const blocks = new Map<string, string>();
  for (const [driver, others] of Object.entries(beside)) {
    const own = rows.filter((row) => row.at(driver) !== undefined);
    if (own.length === 0) continue;
    const cells = host.cells.filter(({ store }) => store === driver || others.includes(store));
    const peer = others.find((other) => other.startsWith('docker')) as string;
    const reads = driver === 'erofs' ? `\n\n${renderReads(host.cells)}` : '';
    blocks.set(driver, `${table(own, [driver, ...others], [[driver, peer]])}${footnotes(cells)}${reads}`);
  }
  if (guest.cells.length > 0) blocks.set('devicemapper', guestText(guest));
  return blocks;
}

const begin = '<!-- made by node bench/storage.ts --table -->';
const end = '<!-- to here -->';

/** Puts the blocks between their marks. @throws Error when a README has no marks. */
export function writeBlocks(blocks: ReadonlyMap<string, string>): void {
  for (const [driver, text] of blocks) {
    const path = join(drivers, driver, 'README.md');
    const page = readFileSync(path, 'utf8');
    const [from, to] = [page.indexOf(begin), page.indexOf(end)];
    if (from < 0 || to < from)
      throw new Error(`${driver}'s README has no marks for figures: ${begin} … ${end}`);
    writeFileSync(path, `${page.slice(0, from)}${begin}\n\n${text}\n\n${page.slice(to)}`);
  }
}
