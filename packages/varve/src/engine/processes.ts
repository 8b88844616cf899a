import { readFileSync } from 'node:fs';
import type { ProcessTable } from './top.ts';

/** Clock ticks a second of /proc times: USER_HZ, fixed at 100 for programs (proc(5)). */
const ticksPerSecond = 100;

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(Math.floor(seconds) % 60)}`;
}

/** Terminal of a process: `pts/3` for devices 136 to 143, `?` without one (Linux admin-guide/devices). */
function terminal(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return device === 0 ? '?' : `tty${minor}`;
}

/** When the machine started, milliseconds since 1970. */
function bootTime(): number {
  return Number(/^btime (\d+)$/m.exec(readText('/proc/stat') ?? '')?.[1] ?? 0) * 1000;
}

function userNames(): ReadonlyMap<string, string> {
  const lines = (readText('/etc/passwd') ?? '').split('\n').map((line) => line.split(':'));
  return new Map(lines.map(([name = '', , uid = '']) => [uid, name]));
}

/** The processes as `ps -ef` shows them, read from /proc; those that end meanwhile are left out. */
export function readProcesses(pids: readonly number[], nowMs = Date.now()): ProcessTable {
  const boot = bootTime();
  const users = userNames();
  const processes = pids.flatMap((pid) => {
    const stat = readText(`/proc/${pid}/stat`);
    const uid = /^Uid:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`) ?? '')?.[1];
    if (stat === undefined || uid === undefined) return [];
    // The name is in parentheses and may hold anything: fields are counted from its end (proc_pid_stat(5)).
    const end = stat.lastIndexOf(')');
    const fields = stat.slice(end + 2).split(' ');
    const field = (number: number): number => Number(fields[number - 3]);
    const started = boot + (field(22) / ticksPerSecond) * 1000;
    const seconds = (field(14) + field(15)) / ticksPerSecond;
    const age = Math.max(1, (nowMs - started) / 1000);
    const date = new Date(started);
    const sameDay = date.toDateString() === new Date(nowMs).toDateString();
    const start = sameDay
      ? date.toTimeString().slice(0, 5)
      : date.toLocaleDateString('en-US', { month: 'short', day: '2-digit' }).replace(' ', '');
    const command = (readText(`/proc/${pid}/cmdline`) ?? '').replace(/\0+$/, '').replaceAll('\0', ' ');
    return [
      [
        users.get(uid) ?? uid,
        String(pid),
        String(field(4)),
        String(Math.min(99, Math.floor((seconds / age) * 100))),
        start,
        terminal(field(7)),
        clock(seconds),
        command || `[${stat.slice(stat.indexOf('(') + 1, end)}]`,
      ],
    ];
  });
  return { titles: ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'], processes };
}
