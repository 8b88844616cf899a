/** Timing of whole commands, side by side: every case runs for each engine in turn, and medians are compared within one run. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';

/** A command with its environment; `argv[0]` is looked up on PATH. */
interface Timed {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Runs before each measured run, not measured. */
  readonly prepare?: () => void;
}

export interface Measurement {
  readonly name: string;
  readonly engine: string;
  readonly milliseconds: readonly number[];
  readonly median: number;
  readonly load: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Runs a command to its end. @throws Error with its stderr when it fails, with the limit when that is up. */
export function must(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input?: string,
  limitMs?: number,
): string {
  const [program, ...rest] = argv;
  const result = spawnSync(program as string, rest, {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...(input === undefined ? {} : { input }),
    ...(limitMs === undefined ? {} : { timeout: limitMs, killSignal: 'SIGKILL' }),
  });
  if (result.error && 'code' in result.error && result.error.code === 'ETIMEDOUT') {
    throw new Error(
      `${basename(program as string)}: stopped after ${(limitMs as number) / 1000} s, the limit of one step`,
    );
  }
  if (result.status !== 0) throw new Error(`${argv.join(' ')}: exit ${result.status}\n${result.stderr}`);
  return result.stdout;
}

async function once(timed: Timed): Promise<number> {
  timed.prepare?.();
  const [program, ...rest] = timed.argv;
  const start = performance.now();
  const child = spawn(program as string, rest, {
    env: { ...process.env, ...timed.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const code = await new Promise<number | null>((done, reject) => {
    child.on('error', reject);
    child.on('exit', done);
  });
  const time = performance.now() - start;
  if (code !== 0) throw new Error(`${timed.argv.join(' ')}: exit ${code}\n${errors}`);
  return time;
}

/**
 * Measures one case for several engines, their runs interleaved so that a change of the machine's load meets all alike.
 * One warm-up run each is dropped unless `warm` is false.
 */
export async function measure(
  name: string,
  engines: Readonly<Record<string, Timed>>,
  options: { readonly runs: number; readonly warm?: boolean },
): Promise<Measurement[]> {
  const times = new Map(Object.keys(engines).map((engine) => [engine, [] as number[]]));
  const failed = new Set<string>();
  for (let run = options.warm === false ? 0 : -1; run < options.runs; run++) {
    for (const [engine, timed] of Object.entries(engines)) {
      if (failed.has(engine)) continue;
      try {
        const time = await once(timed);
        if (run >= 0) times.get(engine)?.push(time);
      } catch (error) {
        failed.add(engine);
        console.error(`${name} ${engine}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  const load = Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
  return [...times]
    .filter(([engine]) => !failed.has(engine))
    .map(([engine, milliseconds]) => {
      const measurement = { name, engine, milliseconds, median: median(milliseconds), load };
      console.log(
        `${name.padEnd(28)} ${engine.padEnd(10)} ${measurement.median.toFixed(1).padStart(9)} ms  (${Math.min(...milliseconds).toFixed(1)}–${Math.max(...milliseconds).toFixed(1)}, n=${milliseconds.length}, load ${load})`,
      );
      return measurement;
    });
}

/** Waits until a process has used next to no processor time for half a second, at most 20 s. */
export function untilIdle(pid: number): void {
  const ticks = (): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  const deadline = performance.now() + 20_000;
  for (let before = ticks(), now = before + 9; now - before > 1 && performance.now() < deadline; ) {
    before = ticks();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    now = ticks();
  }
}
