import { setTimeout as delay } from 'node:timers/promises';
import { VarveError } from '../base/index.ts';
import type { ContainerExit } from '../runtime/index.ts';
import type { Container } from './container.ts';
import { detachedNetworks, disconnectNetworks, publishNetworkEvents } from './container-network.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { endHealthChecks } from './health.ts';
import { removeStopped } from './remove.ts';
import { restartDelay } from './restart-policy.ts';
import { launch } from './start.ts';
import { formatMilliseconds } from './time.ts';

/** Watches the present run of a container to its end. */
export function monitor(core: EngineCore, container: Container): void {
  container.exitHandled = core.runtime
    .wait(container.id)
    .then((exit) => handleExit(core, container, exit))
    .catch((error: unknown) => {
      if (core.closing.signal.aborted) return;
      core.log('error', 'the end of a container could not be handled', {
        id: container.id,
        error: String(error),
      });
    });
}

/** Gives back all that a run held: runtime state, network, mounts. What is gone already is passed over. */
export async function releaseResources(core: EngineCore, container: Container): Promise<void> {
  const { record } = container;
  const report = (what: string) => (error: unknown) =>
    core.log('warn', `could not release the ${what} of a container`, { id: record.id, error: String(error) });
  await Promise.all([
    core.runtime
      .delete(record.id)
      .catch(report('runtime state'))
      .then(async () => {
        if (container.rootfs !== undefined)
          await core.driver.unmount(record.id).catch(report('root file system'));
        container.rootfs = undefined;
        for (const mount of record.mounts) {
          if (mount.Type !== 'volume' || mount.Name === undefined) continue;
          await core.volumes.unmount(mount.Name, record.id).catch(report('volumes'));
        }
      }),
    disconnectNetworks(core, container).catch(report('network')),
  ]);
}

/**
 * What follows the end of a container's process, once for each run: resources go back, the record says how it ended,
 * events tell (in moby's order: disconnect, unmount, die), waiters wake, and the policy or auto-removal acts.
 */
export async function handleExit(core: EngineCore, container: Container, exit: ContainerExit): Promise<void> {
  endHealthChecks(container);
  const before = container.record;
  await releaseResources(core, container);
  publishNetworkEvents(core, before, 'disconnect');
  for (const mount of before.mounts) {
    if (mount.Type !== 'volume' || mount.Name === undefined) continue;
    core.events.publish('volume', 'unmount', mount.Name, {
      container: before.id,
      driver: mount.Driver ?? 'local',
    });
  }
  const ranMs = exit.finishedAt - Date.parse(before.state.startedAt);
  const wait = restartDelay(before.hostConfig.RestartPolicy, {
    exitCode: exit.exitCode,
    stopRequested: container.stopRequested || core.closing.signal.aborted,
    restartCount: before.restartCount,
    ranMs,
    lastDelayMs: container.restartDelayMs,
  });
  const finishedAt = formatMilliseconds(exit.finishedAt);
  if (exit.oomKilled) publishContainer(core, container, 'oom');
  publishContainer(core, container, 'die', {
    exitCode: String(exit.exitCode),
    execDuration: String(Math.max(0, Math.floor(ranMs / 1000))),
  });
  const removes = before.hostConfig.AutoRemove && wait === undefined && !container.restarting;
  const ended: Container['state'] = {
    ...before.state,
    status: wait === undefined ? 'exited' : 'restarting',
    pid: 0,
    exitCode: exit.exitCode,
    error: exit.error ?? '',
    oomKilled: exit.oomKilled,
    finishedAt,
  };
  if (removes && !core.closing.signal.aborted) {
    // The record goes in a moment: memory is enough for those who look until then.
    container.record = { ...before, ...detachedNetworks(before), state: ended };
  } else {
    core.containers.update(container, { ...detachedNetworks(before), state: ended }, 'process');
  }
  const result = { exitCode: exit.exitCode, ...(exit.error === undefined ? {} : { error: exit.error }) };
  container.signals.emit('exit', result);
  if (removes) {
    removeStopped(core, container, { volumes: true }).catch((error: unknown) =>
      core.log('error', 'could not remove a container', { id: container.id, error: String(error) }),
    );
  } else if (wait !== undefined) {
    container.restartDelayMs = wait;
    void restartAfter(core, container, wait);
  }
}

/** Starts a container again after its back-off, unless someone stops that. */
export async function restartAfter(core: EngineCore, container: Container, waitMs: number): Promise<void> {
  const timer = new AbortController();
  container.restartTimer = timer;
  try {
    await delay(waitMs, undefined, { signal: AbortSignal.any([timer.signal, core.closing.signal]) });
  } catch {
    return;
  }
  try {
    await core.containers.lock(container, async () => {
      if (timer.signal.aborted || container.stopRequested || container.state.status !== 'restarting') return;
      core.containers.update(container, { restartCount: container.record.restartCount + 1 }, 'process');
      await launch(core, container);
    });
  } catch (error) {
    core.log('warn', 'could not restart a container', {
      id: container.id,
      error: VarveError.from(error).message,
    });
  }
}

/** Ends the wait for a restart: the container is then stopped. */
export function cancelRestart(core: EngineCore, container: Container): void {
  container.restartTimer?.abort();
  if (container.state.status !== 'restarting') return;
  core.containers.updateState(container, { status: 'exited' });
}
