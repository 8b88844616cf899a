import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import { unmount } from '../linux/index.ts';
import { setContainerAside } from './check/set-aside.ts';
import type { Container } from './container.ts';
import { detachedNetworks } from './container-network.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { handleExit, monitor, releaseResources, restartAfter } from './exit.ts';
import { beginHealthChecks } from './health.ts';
import { removeStopped } from './remove.ts';
import { startsWithEngine } from './restart-policy.ts';
import { unmountSubpaths } from './subpaths.ts';
import { formatMilliseconds } from './time.ts';
import { zeroTime } from './types.ts';

/** What a container's exit code is when nobody saw it end (moby: 255). */
const unknownExit = 255;

/**
 * Brings records and reality together when the engine starts: containers that ran on are adopted, those that ended
 * get their exit code, half-done removals are finished, and what has no record is swept away.
 */
export async function restoreContainers(core: EngineCore): Promise<void> {
  for (const note of await core.driver.recover()) core.log('info', 'storage recovered', { note });
  const known = new Set(await core.runtime.list());
  const before = core.containers.list().map((container) => ({ container, status: container.state.status }));
  for (const { container } of before) {
    try {
      await restoreOne(core, container, known.has(container.id));
    } catch (error) {
      core.log('error', 'could not restore a container', {
        id: container.id,
        error: VarveError.from(error).message,
      });
    }
  }
  await sweep(core, known);
  const running = core.containers.list().filter((container) => container.running);
  const alive = running.map((container) => container.id);
  for (const note of await core.networks.restore(alive)) core.log('info', 'networks restored', { note });
  for (const note of await core.volumes.restore(alive)) core.log('info', 'volumes restored', { note });
  for (const { id, volumes } of core.containers.unfinished()) {
    for (const volume of volumes) await core.volumes.remove(volume, { force: true });
    core.containers.intendVolumes(id, []);
    core.log('info', 'removed the volumes of a container that was never made', { id });
  }
  for (const { container, status } of before) {
    if (!core.containers.has(container.id) || container.running || container.removal) continue;
    const { hostConfig, state, manuallyStopped } = container.record;
    const last = {
      wasRunning: ['running', 'paused', 'restarting'].includes(status),
      manuallyStopped,
      exitCode: state.exitCode,
    };
    if (state.startedAt === zeroTime || !startsWithEngine(hostConfig.RestartPolicy, last)) continue;
    if (state.status === 'restarting') continue;
    core.containers.updateState(container, { status: 'restarting' });
    void restartAfter(core, container, 0);
  }
}

async function restoreOne(core: EngineCore, container: Container, known: boolean): Promise<void> {
  const { status } = container.state;
  if (status === 'removing' || status === 'dead') {
    await core.runtime.delete(container.id);
    await removeStopped(core, container, {});
    return;
  }
  const sameBoot = container.record.bootId === core.bootId;
  const found = known ? await core.runtime.inspect(container.id) : undefined;
  if (status === 'running' || status === 'paused') {
    if (sameBoot && (found?.status === 'running' || found?.status === 'paused')) {
      await adopt(core, container, found.status);
      return;
    }
    await endedMeanwhile(core, container, sameBoot && found !== undefined);
    return;
  }
  // A start that the engine did not live to record: what it made goes, the container stays as it was.
  if (found) await releaseLeftovers(core, container);
  if (status === 'restarting') core.containers.updateState(container, { status: 'exited' });
  if (container.record.hostConfig.AutoRemove) await removeStopped(core, container, { volumes: true });
}

async function adopt(core: EngineCore, container: Container, status: 'running' | 'paused'): Promise<void> {
  // One more use of the mount that the container already lives on.
  container.rootfs = await core.driver.mount(container.id);
  for (const mount of container.record.mounts) {
    if (mount.Type === 'volume' && mount.Name !== undefined)
      await core.volumes.mount(mount.Name, container.id);
  }
  if (status !== container.state.status) core.containers.updateState(container, { status });
  monitor(core, container);
  beginHealthChecks(core, container);
  core.log('info', 'adopted a running container', { id: container.id, pid: container.state.pid });
}

async function endedMeanwhile(core: EngineCore, container: Container, exitKnown: boolean): Promise<void> {
  container.rootfs = '';
  if (exitKnown) {
    const exit = await core.runtime.wait(container.id);
    await handleExit(core, container, exit);
    return;
  }
  await releaseResources(core, container);
  core.containers.update(container, {
    ...detachedNetworks(container.record),
    state: {
      ...container.state,
      status: 'exited',
      pid: 0,
      exitCode: unknownExit,
      finishedAt: formatMilliseconds(Date.now()),
    },
  });
  publishContainer(core, container, 'die', { exitCode: String(unknownExit) });
  if (container.record.hostConfig.AutoRemove) await removeStopped(core, container, { volumes: true });
}

async function releaseLeftovers(core: EngineCore, container: Container): Promise<void> {
  container.rootfs = '';
  await releaseResources(core, container);
}

/** Removes runtime state, snapshots and folders that belong to no container. */
async function sweep(core: EngineCore, runtimeIds: ReadonlySet<string>): Promise<void> {
  for (const id of runtimeIds) {
    if (core.containers.has(id)) continue;
    core.log('warn', 'removing a container without a record', { id });
    await core.runtime.delete(id).catch((error: unknown) => core.log('warn', String(error), { id }));
  }
  const ours = (id: string): boolean => core.containers.has(id) || core.containers.unreadable.has(id);
  const snapshots = Array.from(core.driver.list());
  const folder = join(core.root, 'containers');
  if (core.recordsLost === true) await setUnknownAside(core, ours);
  for (const snapshot of snapshots) {
    if (snapshot.kind !== 'active' || ours(snapshot.key) || !core.driver.has(snapshot.key)) continue;
    core.log('info', 'removing a snapshot without a container', { key: snapshot.key });
    await core.driver.unmount(snapshot.key).catch(() => undefined);
    await core.driver.remove(snapshot.key).catch((error: unknown) => core.log('warn', String(error)));
  }
  for (const id of readdirSync(folder)) {
    if (ours(id)) continue;
    unmount(join(folder, id, 'shm'), { detach: true });
    unmountSubpaths(core, id);
    rmSync(join(folder, id), { recursive: true, force: true });
  }
}

/** Without their records nothing tells what containers were; their files are kept for whoever misses them. */
async function setUnknownAside(core: EngineCore, ours: (id: string) => boolean): Promise<void> {
  const ids = new Set(readdirSync(join(core.root, 'containers')));
  for (const { key, kind } of core.driver.list()) if (kind === 'active') ids.add(key);
  for (const id of ids) {
    if (ours(id)) continue;
    try {
      const problem = 'the records were lost, and with them what it was';
      const folder = await setContainerAside(core, { kind: 'container-folder-orphan', subject: id, problem });
      core.log('warn', 'set a container aside whose record was lost', { id, folder });
    } catch (error) {
      core.log('error', 'could not set a container aside', { id, error: VarveError.from(error).message });
    }
  }
}
