import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findConmon } from './conmon.ts';
import type { RuntimeContext } from './context.ts';
import { sweepSessions } from './exec-sessions.ts';
import { lostFile, readExit } from './exits.ts';
import { removeContainer } from './removal.ts';
import type { ContainerExit } from './types.ts';

/** What became of a container while no daemon was there. */
export type RecoveredContainer =
  | { readonly id: string; readonly status: 'running' | 'paused'; readonly pid: number }
  | { readonly id: string; readonly status: 'exited'; readonly exit: ContainerExit };

const KILLED = 137;

/**
 * Ends a container whose conmon died without an exit file: nobody takes its output, and its exit code will never be
 * known. It is recorded as 137 with the error "supervisor lost". Does nothing when there is a conmon or an exit.
 */
export async function checkSupervisor(context: RuntimeContext, id: string): Promise<void> {
  const { layout } = context;
  const bundle = layout.bundle(id);
  // Conmon first: it writes the exit file before it ends.
  if (findConmon(bundle, id) !== undefined || readExit(layout, id) !== undefined || !existsSync(bundle))
    return;
  writeFileSync(join(bundle, lostFile), '');
  await context.program.call(['delete', '--force', id]);
  writeFileSync(layout.exitFile(id), String(KILLED));
  context.exits.check(id);
}

// A daemon may have died just after it let conmon go: the runtime is still making the container then.
const CREATE_PATIENCE_MS = 10_000;

/** The runtime's state once it is settled: a conmon without one is still creating. */
async function settledState(
  context: RuntimeContext,
  id: string,
): Promise<{ readonly status: string; readonly pid: number } | undefined> {
  const deadline = Date.now() + CREATE_PATIENCE_MS;
  for (;;) {
    const state = await context.program.state(id);
    if (state !== undefined) return state;
    if (findConmon(context.layout.bundle(id), id) === undefined || Date.now() > deadline) return undefined;
    await sleep(20);
  }
}

/**
 * Adopts what an earlier daemon left, once at start: running containers are reported, ended ones with their exit,
 * those that lost their conmon are ended; created ones, which never ran a user's instruction, are removed.
 */
export async function recoverContainers(
  context: RuntimeContext,
  ids: readonly string[],
): Promise<readonly RecoveredContainer[]> {
  const { layout } = context;
  const found: RecoveredContainer[] = [];
  for (const id of ids) {
    const exit = readExit(layout, id);
    if (exit !== undefined) {
      found.push({ id, status: 'exited', exit });
      continue;
    }
    const state = await settledState(context, id);
    if (state !== undefined && (state.status === 'running' || state.status === 'paused')) {
      await checkSupervisor(context, id);
      const lost = readExit(layout, id);
      found.push(
        lost === undefined
          ? { id, status: state.status, pid: state.pid }
          : { id, status: 'exited', exit: lost },
      );
      continue;
    }
    if (state?.status === 'stopped') {
      // Ended this moment: conmon is writing the exit, unless it is lost too.
      const conmon = findConmon(layout.bundle(id), id);
      if (conmon === undefined) await checkSupervisor(context, id);
      found.push({ id, status: 'exited', exit: await context.exits.wait(id) });
      continue;
    }
    await removeContainer(context, id);
  }
  await sweepSessions(layout, (container) => !existsSync(layout.bundle(container)));
  return found;
}
