import { setTimeout as delay } from 'node:timers/promises';
import { VarveError } from '../base/index.ts';
import type { ContainerExit } from '../runtime/index.ts';
import type { Container } from './container.ts';
import { detachedNetworks, disconnectNetworks, publishNetworkEvents } from './container-network.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { endHealthChecks } from './health.ts';
import { removeStopped } from './remove.ts';
import { restartDelay } from './restart-policy.ts';
import { unmountSharedMemory } from './shared-memory.ts';
import { unmountSubpaths } from './subpaths.ts';
import { launch } from './start.ts';
import { formatMilliseconds } from './time.ts';

/** Watches the present run of a container to its end. */
export function monitor(core: EngineCore, container: Container): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  container.exitKnown = promise;
  container.exitHandled = core.runtime
    .wait(container.id)
    .then((exit) => handleExit(core, container, exit, resolve))
    .catch((error: unknown) => {
      if (core.closing.signal.aborted) return;
      core.log('error', 'the end of a container could not be handled', {
        id: container.id,
        error: String(error),
      });
    })
    .finally(resolve);
}

/** Gives back runtime state and mounts of a run; the network's part is apart, since ports must be free first. */
async function releaseFiles(core: EngineCore, container: Container): Promise<void> {
  const { record } = container;
  const report = (what: string) => (error: unknown) =>
    core.log('warn', `could not release the ${what} of a container`, { id: record.id, error: String(error) });
  const unmount = async (): Promise<void> => {
    if (container.rootfs !== undefined)
      await core.driver.unmount(record.id).catch(report('root file system'));
    container.rootfs = undefined;
    unmountSharedMemory(core, record);
    unmountSubpaths(core, record.id);
    for (const mount of record.mounts) {
      if (mount.Type !== 'volume' || mount.Name === undefined) continue;
      await core.volumes.unmount(mount.Name, record.id).catch(report('volumes'));
    }
  };
  await Promise.all([core.runtime.delete(record.id).catch(report('runtime state')), unmount()]);
}

async function releaseNetworks(core: EngineCore, container: Container): Promise<void> {
  await disconnectNetworks(core, container).catch((error: unknown) =>
    core.log('warn', 'could not release the network of a container', {
      id: container.id,
      error: String(error),
    }),
  );
}

/** Gives back all that a run held: runtime state, network, mounts. What is gone already is passed over. */
export async function releaseResources(core: EngineCore, container: Container): Promise<void> {
  await Promise.all([releaseFiles(core, container), releaseNetworks(core, container)]);
}

function publishEnd(core: EngineCore, container: Container, exit: ContainerExit, ranMs: number): void {
  const { record } = container;
  publishNetworkEvents(core, record, 'disconnect');
  for (const mount of record.mounts) {
    if (mount.Type !== 'volume' || mount.Name === undefined) continue;
    core.events.publish('volume', 'unmount', mount.Name, {
      container: record.id,
      driver: mount.Driver ?? 'local',
    });
  }
  if (exit.oomKilled) publishContainer(core, container, 'oom');
  publishContainer(core, container, 'die', {
    exitCode: String(exit.exitCode),
    execDuration: String(Math.max(0, Math.floor(ranMs / 1000))),
  });
}

/**
 * What follows the end of a container's process, once for each run: its ports are freed, events tell (in moby's order:
 * disconnect, unmount, die), the record says how it ended, waiters wake, and the policy or auto-removal acts. The rest
 * of its resources go back meanwhile; the promise resolves when all have.
 * @param known called when the record is written.
 */
export async function handleExit(
  core: EngineCore,
  container: Container,
  exit: ContainerExit,
  known: () => void = () => undefined,
): Promise<void> {
  endHealthChecks(container);
  const before = container.record;
  const files = releaseFiles(core, container);
  await releaseNetworks(core, container);
  await container.signalled;
  const ranMs = exit.finishedAt - Date.parse(before.state.startedAt);
  const wait = restartDelay(before.hostConfig.RestartPolicy, {
    exitCode: exit.exitCode,
    stopRequested: container.stopRequested || core.closing.signal.aborted,
    restartCount: before.restartCount,
    ranMs,
    lastDelayMs: container.restartDelayMs,
  });
  publishEnd(core, container, exit, ranMs);
  const removes = before.hostConfig.AutoRemove && wait === undefined && !container.restarting;
  const ended: Container['state'] = {
    ...before.state,
    status: wait === undefined ? 'exited' : 'restarting',
    pid: 0,
    exitCode: exit.exitCode,
    error: exit.error ?? '',
    oomKilled: exit.oomKilled,
    finishedAt: formatMilliseconds(exit.finishedAt),
  };
  if (removes && !core.closing.signal.aborted) {
    // The record goes in a moment: memory is enough for those who look until then.
    container.record = { ...before, ...detachedNetworks(before), state: ended };
  } else {
    core.containers.update(container, { ...detachedNetworks(before), state: ended }, 'process');
  }
  known();
  const result = { exitCode: exit.exitCode, ...(exit.error === undefined ? {} : { error: exit.error }) };
  container.signals.emit('exit', result);
  if (removes) {
    removeStopped(core, container, { volumes: true, released: files }).catch((error: unknown) =>
      core.log('error', 'could not remove a container', { id: container.id, error: String(error) }),
    );
  } else if (wait !== undefined) {
    container.restartDelayMs = wait;
    void restartAfter(core, container, wait);
  }
  await files;
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
  await core.restored.promise;
  try {
    await core.containers.lock(container, async () => {
      if (timer.signal.aborted || container.stopRequested || container.state.status !== 'restarting') return;
      await container.exitHandled;
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
