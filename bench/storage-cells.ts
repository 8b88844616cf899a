/**
 * What the storage benchmark measured: one JSON file a run, written anew with every figure, so that a run that is ended
 * early loses nothing and runs in slices add up to one table.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { median } from './harness.ts';

/** Where it was measured; a guest's times cannot be compared with the host's. */
export type Place = 'host' | 'guest';
/** The part `read` has speeds, the others what it takes. */
export type Unit = 'ms' | 'MiB' | 'MiB/s' | 'files/ms';

/** One case on one store. */
export interface Cell {
  readonly part: string;
  readonly name: string;
  readonly store: string;
  readonly unit: Unit;
  readonly values: readonly number[];
  /** Load averages, one a value. */
  readonly loads: readonly number[];
  /** True when a further round was left out because the first took long. */
  readonly isCut: boolean;
}

/** Why a store has no figures in a part, or in its later cases. */
export interface Missing {
  readonly part: string;
  readonly store: string;
  readonly reason: string;
}

/** One process of the benchmark. */
export interface Run {
  /** ISO 8601. */
  readonly started: string;
  readonly place: Place;
  readonly isQuick: boolean;
  /** Processor, memory, kernel, Node. */
  readonly machine: string;
  /** Versions of what is compared with. */
  readonly peers: readonly string[];
  readonly cells: readonly Cell[];
  readonly missing: readonly Missing[];
  /** What each part took, by store. */
  readonly seconds: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

type Head = Pick<Run, 'started' | 'place' | 'isQuick' | 'machine' | 'peers'>;

/** Where figures go as they are measured. */
export interface Figures {
  add(part: string, name: string, store: string, value: number, unit?: Unit): void;
  /** Says that a store's cases of a part were measured once instead of several times. */
  cut(part: string, store: string): void;
  miss(part: string, store: string, reason: string): void;
  /** Adds to what a part took on a store. */
  took(part: string, store: string, seconds: number): void;
}

/** Collects one run's figures in a file. */
export class Recorder implements Figures {
  readonly #head: Head;
  readonly #file: string;
  readonly #cells: Cell[] = [];
  readonly #missing: Missing[] = [];
  readonly #seconds: Record<string, Record<string, number>> = {};

  /** @param folder where the run's file is made. */
  constructor(folder: string, head: Head) {
    mkdirSync(folder, { recursive: true });
    this.#head = head;
    this.#file = join(folder, `${head.started.replaceAll(':', '')}-${head.place}-${process.pid}.json`);
  }

  add(part: string, name: string, store: string, value: number, unit: Unit = 'ms'): void {
    const at = this.#cells.findIndex((cell) => cell.name === name && cell.store === store);
    const values = [...(this.#cells[at]?.values ?? []), value];
    const loads = [...(this.#cells[at]?.loads ?? []), loadavg()[0] ?? 0];
    const cell = { part, name, store, unit, values, loads, isCut: false };
    this.#cells.splice(at < 0 ? this.#cells.length : at, 1, cell);
    console.log(`${name.padEnd(44)} ${store.padEnd(16)} ${value.toFixed(1).padStart(9)} ${unit}`);
    this.#write();
  }

  cut(part: string, store: string): void {
    for (const [at, cell] of this.#cells.entries()) {
      if (cell.part === part && cell.store === store && cell.values.length === 1) {
        this.#cells[at] = { ...cell, isCut: true };
      }
    }
    this.#write();
  }

  miss(part: string, store: string, reason: string): void {
    this.#missing.push({ part, store, reason });
    console.error(`${part}, ${store}: not measured: ${reason}`);
    this.#write();
  }

  took(part: string, store: string, seconds: number): void {
    const stores = (this.#seconds[part] ??= {});
    stores[store] = (stores[store] ?? 0) + seconds;
    this.#write();
  }

  /** What each part took, for whoever plans the next run. */
  times(): string {
    return Object.entries(this.#seconds)
      .map(([part, stores]) => {
        const each = Object.entries(stores).map(([store, seconds]) => `${store} ${seconds.toFixed(0)}`);
        const sum = Object.values(stores).reduce((a, b) => a + b, 0);
        return `${part}: ${sum.toFixed(0)} s (${each.join(', ')})`;
      })
      .join('\n');
  }

  #write(): void {
    const run: Run = {
      ...this.#head,
      cells: this.#cells,
      missing: this.#missing,
      seconds: this.#seconds,
    };
    writeFileSync(`${this.#file}.part`, `${JSON.stringify(run, undefined, 1)}\n`);
    renameSync(`${this.#file}.part`, this.#file);
  }
}

/** The runs of a folder, oldest first. */
export function readRuns(folder: string): Run[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Run)
    .sort((a, b) => (a.started < b.started ? -1 : 1));
}

/** More than the benchmark itself causes. */
export const quietLoad = 6;

/** Whether a time was measured while others used the machine. */
export function isDisturbed({ loads, unit }: Pick<Cell, 'loads' | 'unit'>): boolean {
  return unit === 'ms' && loads.length > 0 && median(loads) > quietLoad;
}

/**
 * The newest figures of each case and store, those of a quiet machine before others, and what the newest run of a part
 * could not measure.
 */
export interface Merged {
  readonly runs: readonly Run[];
  readonly cells: readonly Cell[];
  readonly missing: readonly Missing[];
}

/** @throws Error when quick runs are among complete ones: their layers are smaller. */
export function merge(runs: readonly Run[], place: Place): Merged {
  const here = runs.filter((run) => run.place === place);
  if (new Set(here.map(({ isQuick }) => isQuick)).size > 1) {
    throw new Error('figures of --quick runs and of complete ones are in one folder');
  }
  const cells = new Map<string, Cell>();
  const missing = new Map<string, Missing>();
  for (const run of here) {
    for (const cell of run.cells) missing.delete(`${cell.part}/${cell.store}`);
    for (const miss of run.missing) missing.set(`${miss.part}/${miss.store}`, miss);
    for (const cell of run.cells) {
      const key = `${cell.name}/${cell.store}`;
      const known = cells.get(key);
      if (!known || !isDisturbed(cell) || isDisturbed(known)) cells.set(key, cell);
    }
  }
  return { runs: here, cells: [...cells.values()], missing: [...missing.values()] };
}
