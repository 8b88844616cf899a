import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, type ProcessIdentity, sendSignal } from '../linux/index.ts';
import { findConmon } from './conmon.ts';
import type { Layout } from './layout.ts';

const SIGKILL = 9;

/** Waits for a process to end; false when it has not within the time. */
export async function hasEnded(process: ProcessIdentity, patienceMs: number): Promise<boolean> {
  const deadline = Date.now() + patienceMs;
  while (isAlive(process)) {
    if (Date.now() > deadline) return false;
    await sleep(2);
  }
  return true;
}

/** Waits for a conmon that is about to end, since it still has an exit to tell; kills it when it does not. */
export async function endConmon(conmon: ProcessIdentity, patienceMs: number): Promise<void> {
  while (!(await hasEnded(conmon, patienceMs))) sendSignal(conmon.pid, SIGKILL);
}

function containerOf(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, 'container'), 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Removes what is left of exec sessions whose container is gone or, after a restart of the daemon, whose conmon is. A
 * session of an earlier daemon that still runs is let be: its process belongs to the container.
 */
export async function sweepSessions(layout: Layout, gone: (containerId: string) => boolean): Promise<void> {
  for (const name of readdirSync(layout.sessions)) {
    const folder = layout.session(name);
    const container = containerOf(folder);
    const isGone = container === undefined || gone(container);
    const conmon = findConmon(folder, name);
    if (conmon !== undefined && !isGone) continue;
    if (conmon !== undefined) await endConmon(conmon, 2000);
    rmSync(folder, { recursive: true, force: true });
  }
}
