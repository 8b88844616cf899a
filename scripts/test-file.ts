/** Runs one test file in a process of its own. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ResultLine } from './test-reporter.ts';

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly skips: readonly { readonly name: string; readonly reason: string }[];
  readonly failures: readonly { readonly name: string; readonly error: string }[];
  /** One line for each test, in order. */
  readonly names: readonly string[];
  /** What the process printed, or the end of it. */
  readonly output: string;
  readonly ms: number;
  /** Command lines of processes that were still there when the file was done; they are killed. */
  readonly processes: readonly string[];
}

/* The slowest test takes a tenth of the first, the slowest file a tenth of the second, on two loaded cores. */
const testTimeoutMs = 5 * 60_000;
const fileTimeoutMs = 12 * 60_000;
const outputLimit = 200_000;
const reporter = join(import.meta.dirname, 'test-reporter.ts');
const running = new Set<number>();

/** Kills the test files under way, each with the processes it started. */
export function stopAll(): void {
  for (const pid of running) killGroup(pid);
}

/** Runs a file to its end, or cuts it at its time limit. Never throws for what the file does. */
export async function runFile(
  root: string,
  file: string,
  {
    testMs = testTimeoutMs,
    fileMs = fileTimeoutMs,
  }: { readonly testMs?: number; readonly fileMs?: number } = {},
): Promise<FileResult> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-run-'));
  const linesPath = join(folder, 'lines');
  const begun = performance.now();
  const child = spawn(
    process.execPath,
    [
      // Some libraries keep sockets open; what a test must close it checks itself.
      '--test-force-exit',
      `--test-timeout=${testMs}`,
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${linesPath}`,
      file,
    ],
    // A group of its own, so that it can be ended with all it started.
    { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const group = child.pid ?? 0;
  running.add(group);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputLimit);
    });
  }
  let cut = false;
  const timer = setTimeout(() => {
    cut = true;
    killGroup(group);
  }, fileMs);
  // Not 'close': a process that was left running holds the pipes.
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) => {
    child.once('exit', (...how) => done(how));
    child.once('error', () => done([-1, null]));
  });
  clearTimeout(timer);
  const processes = cut ? [] : membersOf(group);
  killGroup(group);
  running.delete(group);
  const lines = readLines(linesPath);
  rmSync(folder, { recursive: true, force: true });
  return {
    file,
    ...count(lines, { code, signal, cut, fileMs }),
    output,
    ms: performance.now() - begun,
    processes,
  };
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly cut: boolean;
  readonly fileMs: number;
}

function count(
  lines: readonly ResultLine[],
  { code, signal, cut, fileMs }: Ending,
): Pick<FileResult, 'passed' | 'skips' | 'failures' | 'names'> {
  const skips: { name: string; reason: string }[] = [];
  const failures: { name: string; error: string }[] = [];
  const names: string[] = [];
  let passed = 0;
  for (const line of lines) {
    if (line.type === 'pass') passed++;
    if (line.type === 'skip') skips.push(line);
    if (line.type === 'fail') failures.push(line);
    if (line.type === 'pass' || line.type === 'fail') {
      names.push(`${line.type === 'pass' ? '✔' : '✖'} ${line.name} (${Math.round(line.ms)} ms)`);
    }
  }
  const ended = lines.some(({ type }) => type === 'end');
  const last = lines.findLast(({ type }) => type === 'start' || type === 'pass');
  const where = last ? `; last heard of "${last.name}"` : '';
  const fail = (error: string): void => void failures.push({ name: 'the file itself', error });
  if (cut) fail(`cut after ${fileMs / 1000} s${where}`);
  else if (signal !== null) fail(`ended by ${signal}${where}`);
  else if (!ended) fail(`ended with code ${code} before its tests were done${where}`);
  else if (code !== 0 && failures.length === 0) fail(`ended with code ${code}`);
  else if (passed + skips.length + failures.length === 0) fail('has no tests');
  return { passed, skips, failures, names };
}

/** A process that was cut may have written half a line. */
function readLines(path: string): ResultLine[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ResultLine);
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}

/** Command lines of a process group's members that still run. */
function membersOf(group: number): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // After the name in parentheses: state, parent, group (proc_pid_stat(5)).
        const [state, , own] = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ');
        if (Number(own) !== group || state === 'Z') return [];
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 120)];
      } catch {
        return [];
      }
    });
}
