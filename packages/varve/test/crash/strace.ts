import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** System calls between which a crash shows: they make, name, sync and remove what outlives a process. */
export const watched = [
  'rename',
  'renameat2',
  'fsync',
  'fdatasync',
  'unlink',
  'unlinkat',
  'link',
  'mkdir',
  'rmdir',
  'mount',
  'umount2',
] as const;

/** A system call at which to kill, counted from 1 in each thread. */
export interface KillPoint {
  readonly call: string;
  readonly when: number;
}

/** strace on a process that runs; resolves when it watches every thread. */
async function attach(pid: number, ...flags: readonly string[]): Promise<ChildProcess> {
  const strace = spawn('strace', ['-f', '-p', String(pid), ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    let said = '';
    strace.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (/attached/.test(said)) resolve();
    });
    strace.once('error', reject);
    strace.once('exit', () => reject(new Error(`strace: ${said}`)));
  });
  return strace;
}

/**
 * Ends a watch. A strace whose process was killed while it started a thread may wait for ever, and keeps the dead from
 * being reaped: it gets a second.
 */
async function detach(strace: ChildProcess): Promise<void> {
  if (strace.exitCode !== null || strace.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => strace.once('exit', () => resolve()));
  strace.kill('SIGINT');
  const timer = setTimeout(() => strace.kill('SIGKILL'), 1000);
  await gone;
  clearTimeout(timer);
}

/** Which watched calls a piece of work makes: for each, how many in the thread that makes most. */
export async function countCalls(
  pid: number,
  output: string,
  work: () => Promise<unknown>,
): Promise<ReadonlyMap<string, number>> {
  const strace = await attach(pid, '-e', `trace=${watched.join(',')}`, '-e', 'signal=none', '-o', output);
  await work();
  await detach(strace);
  const byThread = new Map<string, number>();
  for (const [, thread, call] of readFileSync(output, 'utf8').matchAll(/^(\d+) +(\w+)\(/gm)) {
    // A call that is under way when strace arrives is told too, some by number alone.
    if (!watched.some((name) => name === call)) continue;
    const key = `${thread} ${call}`;
    byThread.set(key, (byThread.get(key) ?? 0) + 1);
  }
  const most = new Map<string, number>();
  for (const [key, count] of byThread) {
    const call = key.split(' ')[1] ?? '';
    most.set(call, Math.max(count, most.get(call) ?? 0));
  }
  return most;
}

/** Kills the process at a call. @returns what ends the watch when the call does not come. */
export async function killAt(pid: number, { call, when }: KillPoint): Promise<() => Promise<void>> {
  const strace = await attach(
    pid,
    '-e',
    `trace=${call}`,
    '-e',
    'signal=none',
    '-o',
    '/dev/null',
    '-e',
    `inject=${call}:signal=KILL:when=${when}`,
  );
  return () => detach(strace);
}

/** At most `limit` points, spread over the calls: the first, the last and the middle of each. */
export function choosePoints(calls: ReadonlyMap<string, number>, limit: number): KillPoint[] {
  const rounds = [
    (count: number) => count,
    () => 1,
    (count: number) => Math.ceil(count / 2),
    (count: number) => Math.ceil((count * 3) / 4),
  ];
  const points = new Map<string, KillPoint>();
  for (const pick of rounds) {
    for (const [call, count] of calls) points.set(`${call} ${pick(count)}`, { call, when: pick(count) });
  }
  return [...points.values()].slice(0, limit);
}
