import { VarveError } from '../base/index.ts';
import { findProgram, run } from '../linux/index.ts';
import type { EngineCore } from './core.ts';
import { readProcesses } from './processes.ts';
import { requireRunning } from './stop.ts';

export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

/**
 * Picks the container's processes out of the output of `ps`: the last column takes the rest of its line.
 * @throws VarveError `invalid` when the output has no PID column.
 */
export function parsePs(output: string, pids: ReadonlySet<number>): ProcessTable {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const titles = (lines[0] ?? '').trim().split(/\s+/);
  const pidColumn = titles.indexOf('PID');
  if (pidColumn < 0)
    throw new VarveError('invalid', 'PS_WITHOUT_PID', "Couldn't find PID field in ps output");
  const processes = lines.slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    if (!pids.has(Number(fields[pidColumn]))) return [];
    const last = titles.length - 1;
    return [[...fields.slice(0, last), fields.slice(last).join(' ')]];
  });
  return { titles, processes };
}

/**
 * `docker top`. The usual `-ef` is read from /proc; other arguments go to the host's ps, narrowed to the container.
 * @throws VarveError `conflict` when it does not run, `invalid` for arguments ps refuses.
 */
export async function containerTop(
  core: EngineCore,
  nameOrId: string,
  psArguments = '-ef',
): Promise<ProcessTable> {
  const container = core.containers.resolve(nameOrId);
  if (container.state.status !== 'paused') requireRunning(container);
  const words = psArguments.trim().split(/\s+/).filter(Boolean);
  const pids = await core.runtime.processes(container.id);
  if (words.length === 0 || (words.length === 1 && words[0] === '-ef')) return readProcesses(pids);
  if (words.some((word) => !/^[-a-zA-Z0-9,_=:+%]+$/.test(word))) {
    throw new VarveError('invalid', 'PS_ARGUMENTS', `ps arguments not allowed: ${psArguments}`);
  }
  const result = await run(findProgram('ps'), words);
  if (result.code !== 0) {
    throw new VarveError('invalid', 'PS_FAILED', `ps: ${result.stderr.toString().trim()}`);
  }
  return parsePs(result.stdout.toString(), new Set(pids));
}
