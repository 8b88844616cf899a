import { VarveError } from '../base/index.ts';
import type { Container } from './container.ts';
import { connectNetworks, type NetworkPlan, publishNetworkEvents } from './container-network.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { writeEtcFiles } from './etc-files.ts';
import { monitor, releaseResources } from './exit.ts';
import { beginHealthChecks, initialHealth } from './health.ts';
import { mountAttributes } from './mounts.ts';
import { removeStopped } from './remove.ts';
import { toContainerSpec } from './runtime-spec.ts';
import { mountSharedMemory } from './shared-memory.ts';
import { mountSubpaths } from './subpaths.ts';
import { now } from './time.ts';
import type { ContainerRecord } from './types.ts';

/**
 * Starts a container.
 * @throws VarveError `not-modified` when it runs, `conflict` when it is paused or going, `invalid` when its program cannot run.
 */
export async function startContainer(core: EngineCore, nameOrId: string): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  await core.containers.lock(container, async () => {
    if (!container.running) await container.exitHandled;
    const { status } = container.state;
    if (status === 'paused') {
      throw new VarveError('conflict', 'PAUSED', 'cannot start a paused container, try unpause instead');
    }
    if (status === 'running') throw new VarveError('not-modified', 'RUNNING', 'container is already running');
    if (status === 'removing' || status === 'dead' || container.removal) {
      throw new VarveError('conflict', 'REMOVING', 'container is marked for removal and cannot be started');
    }
    container.restartTimer?.abort();
    container.stopRequested = false;
    container.restartDelayMs = 0;
    if (container.record.manuallyStopped || container.record.restartCount > 0) {
      core.containers.update(container, { manuallyStopped: false, restartCount: 0 }, 'process');
    }
    await launch(core, container);
  });
}

async function mountVolumes(core: EngineCore, record: ContainerRecord, rootfs: string): Promise<void> {
  for (const mount of record.mounts) {
    if (mount.Type !== 'volume' || mount.Name === undefined) continue;
    await core.volumes.mount(mount.Name, record.id);
    if (mount.copyUp) await core.volumes.copyUp(mount.Name, { rootfs, path: mount.Destination });
  }
}

/** Connects those who attached before the start, so that they miss nothing. */
async function connectPending(core: EngineCore, container: Container): Promise<void> {
  const pending = [...container.pendingAttach];
  container.pendingAttach.clear();
  for (const client of pending) {
    try {
      client.connect(await core.runtime.attach(container.id));
    } catch (error) {
      client.fail(error);
    }
  }
}

function exitCodeOf(error: unknown): number {
  const code = VarveError.is(error) ? error.data?.['exitCode'] : undefined;
  return typeof code === 'number' ? code : 128;
}

/**
 * Brings a stopped container to life: root file system, volumes, network and conmon, side by side where they can be.
 * The caller holds its lock.
 */
export async function launch(core: EngineCore, container: Container): Promise<void> {
  const { id } = container;
  let plan: NetworkPlan | undefined;
  try {
    plan = connectNetworks(core, container);
    const rootfs = await core.driver.mount(id);
    container.rootfs = rootfs;
    await mountVolumes(core, container.record, rootfs);
    mountSubpaths(core, container.record);
    mountSharedMemory(core, container.record);
    writeEtcFiles(core, container.record);
    const spec = toContainerSpec(core, container.record, { rootfs, network: plan.namespace });
    // The runtime joins the namespace while its interfaces are still being plugged in.
    const [running, attached] = await Promise.all([core.runtime.create(spec), plan.attached]);
    if (attached.networks !== container.record.networks) {
      writeEtcFiles(core, { ...container.record, ...attached });
    }
    await connectPending(core, container);
    await core.runtime.start(id);
    const health = initialHealth(container.record);
    core.containers.update(
      container,
      {
        ...attached,
        bootId: core.bootId,
        state: {
          status: 'running',
          pid: running.pid,
          exitCode: 0,
          error: '',
          oomKilled: false,
          startedAt: now(),
          finishedAt: container.state.finishedAt,
          ...(health ? { health } : {}),
        },
      },
      'process',
    );
  } catch (error) {
    await plan?.attached.catch(() => undefined);
    await failedStart(core, container, error);
    throw error;
  }
  for (const mount of container.record.mounts) {
    if (mount.Type === 'volume' && mount.Name !== undefined) {
      core.events.publish('volume', 'mount', mount.Name, mountAttributes(container.record, mount));
    }
  }
  publishNetworkEvents(core, container.record, 'connect');
  publishContainer(core, container, 'start');
  monitor(core, container);
  beginHealthChecks(core, container);
}

async function failedStart(core: EngineCore, container: Container, error: unknown): Promise<void> {
  for (const client of container.pendingAttach) client.fail(error);
  container.pendingAttach.clear();
  await releaseResources(core, container);
  const exitCode = exitCodeOf(error);
  core.containers.updateState(container, {
    status: container.state.status === 'restarting' ? 'exited' : container.state.status,
    pid: 0,
    exitCode,
    error: VarveError.from(error).message,
    finishedAt: now(),
  });
  if (container.record.hostConfig.AutoRemove && !container.restarting) {
    await removeStopped(core, container, { volumes: true });
  }
}
