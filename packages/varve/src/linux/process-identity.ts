import { readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one with the same pid: pid and start time in clock ticks since boot (proc(5), stat field 22). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: number;
}

/** State letter and start time of a process; undefined when there is none. */
function readStat(pid: number): { readonly state: string; readonly startTime: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The name in parentheses may hold anything, also spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTime: Number(fields[19]) };
}

/** The identity of a live process; undefined when it is gone or a zombie. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined || stat.state === 'Z' || stat.state === 'X'
    ? undefined
    : { pid, startTime: stat.startTime };
}

/** True while exactly this process lives. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTime === identity.startTime;
}
