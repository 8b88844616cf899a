import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupProcesses, removeCgroup, sendSignal } from '../linux/index.ts';
import { findConmon } from './conmon.ts';
import { readRecord } from './container-record.ts';
import type { RuntimeContext } from './context.ts';
import { hasEnded, sweepSessions } from './exec-sessions.ts';

// conmon ends some milliseconds after its container. One that does not may still have been creating it when we deleted.
const CONMON_END_MS = 500;
const DELETE_ATTEMPTS = 20;
const KILLED = 137;
const SIGKILL = 9;

/** Processes may survive their container's first one when it has no pid namespace of its own. */
async function clearCgroup(context: RuntimeContext, path: string): Promise<void> {
  for (let attempt = 0; attempt < 200 && !removeCgroup(context.cgroups, path); attempt++) {
    for (const pid of cgroupProcesses(context.cgroups, path)) sendSignal(pid, SIGKILL);
    await sleep(10);
  }
}

function cgroupOf(context: RuntimeContext, id: string): string {
  try {
    return readRecord(context.layout.bundle(id), id).cgroupPath;
  } catch {
    // A daemon killed before it wrote the record had started nothing in a group.
    return `${context.cgroupParent}/${id}`;
  }
}

/** Deletes the runtime's container until its conmon has left; a conmon that stays for no reason is killed. */
async function endContainer(context: RuntimeContext, id: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await context.program.call(['delete', '--force', id]);
    const conmon = findConmon(context.layout.bundle(id), id);
    if (conmon === undefined) return;
    if (await hasEnded(conmon, CONMON_END_MS)) return;
    if (attempt === DELETE_ATTEMPTS) sendSignal(conmon.pid, SIGKILL);
  }
}

/**
 * Kills a container, waits for conmon's last words and removes everything but the log. It may be repeated after a
 * crash at any point: the bundle goes last.
 */
export async function removeContainer(context: RuntimeContext, id: string): Promise<void> {
  const { layout, exits } = context;
  const bundle = layout.bundle(id);
  await endContainer(context, id);
  exits.check(id);
  exits.settle(id, { exitCode: KILLED, oomKilled: false, finishedAt: Date.now() });
  await clearCgroup(context, cgroupOf(context, id));
  await sweepSessions(layout, (container) => container === id);
  rmSync(layout.exitFile(id), { force: true });
  rmSync(join(layout.runtimeRoot, id), { recursive: true, force: true });
  rmSync(bundle, { recursive: true, force: true });
}
