import { rmSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import type { Container } from './container.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { releaseResources } from './exit.ts';
import { checkFilters, labelsMatch } from './filters.ts';
import { containerFolder } from './folders.ts';
import { pruneTime } from './prune-time.ts';
import { killAndWait } from './stop.ts';
import { unmountSubpaths } from './subpaths.ts';
import type { Filters } from './types.ts';

export interface RemoveOptions {
  /** Kill it first if it runs. */
  readonly force?: boolean;
  /** Remove its anonymous volumes too. */
  readonly volumes?: boolean;
}

/**
 * Removes a container with all that is its own.
 * @throws VarveError `conflict` when it runs (without `force`) or a removal is under way.
 */
export async function removeContainer(
  core: EngineCore,
  nameOrId: string,
  options: RemoveOptions = {},
): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  if (container.removal) {
    if (options.force) {
      await container.removal;
      return;
    }
    throw new VarveError(
      'conflict',
      'REMOVAL_IN_PROGRESS',
      `removal of container ${nameOrId} is already in progress`,
      { subject: nameOrId },
    );
  }
  await core.containers.lock(container, async () => {
    const { status } = container.state;
    if (container.running || status === 'restarting') {
      if (!options.force) {
        const [is, todo] =
          status === 'paused'
            ? ['paused', 'unpause']
            : [status === 'restarting' ? 'restarting' : 'running', 'stop'];
        throw new VarveError(
          'conflict',
          'CONTAINER_RUNNING',
          `cannot remove container "${container.name}": container is ${is}: ${todo} the container before removing or force remove`,
          { subject: nameOrId },
        );
      }
      // The removal below is ours: the exit must not start one of its own.
      container.removal = Promise.resolve();
      try {
        await killAndWait(core, container);
      } finally {
        container.removal = undefined;
      }
    }
    await container.exitHandled;
    await removeStopped(core, container, options);
  });
}

/**
 * Removes a container that does not run; concurrent calls share one removal.
 * @param options.released resolves when the last run has given its files back, where that is under way: a container that
 * removes itself is then gone for all who ask before its files are.
 */
export function removeStopped(
  core: EngineCore,
  container: Container,
  options: RemoveOptions & { readonly released?: Promise<void> },
): Promise<void> {
  container.removal ??= eraseContainer(core, container, options).catch((error: unknown) => {
    container.removal = undefined;
    throw error;
  });
  return container.removal;
}

async function eraseContainer(
  core: EngineCore,
  container: Container,
  options: RemoveOptions & { readonly released?: Promise<void> },
): Promise<void> {
  const { record } = container;
  container.restartTimer?.abort();
  const anonymous = options.volumes && record.mounts.some((mount) => mount.anonymous);
  if (options.released && !anonymous) {
    // What is left has no record any more: should the engine end here, the next one sweeps it away.
    const { released } = options;
    core.cleanups.add(
      (async () => {
        await released;
        await eraseFiles(core, container);
      })().catch((error: unknown) =>
        core.log('error', 'could not remove the files of a container', {
          id: record.id,
          error: String(error),
        }),
      ),
    );
  } else {
    await options.released;
    // After a crash in the middle the engine goes on from here when it starts again.
    if (!record.hostConfig.AutoRemove) core.containers.updateState(container, { status: 'removing' });
    try {
      await eraseFiles(core, container);
    } catch (error) {
      core.containers.updateState(container, { status: 'dead', error: VarveError.from(error).message });
      throw error;
    }
  }
  // The record goes last: should the engine end before, the next one goes on with the removal.
  if (anonymous) await removeAnonymousVolumes(core, container);
  core.containers.delete(container);
  core.execs.removeOf(record.id);
  publishContainer(core, container, 'destroy');
  container.signals.emit('removed', { exitCode: record.state.exitCode });
}

async function eraseFiles(core: EngineCore, container: Container): Promise<void> {
  if (container.rootfs !== undefined) await releaseResources(core, container);
  await core.driver.remove(container.id);
  unmountSubpaths(core, container.id);
  rmSync(containerFolder(core, container.id), { recursive: true, force: true });
}

async function removeAnonymousVolumes(core: EngineCore, container: Container): Promise<void> {
  for (const mount of container.record.mounts) {
    if (!mount.anonymous || mount.Name === undefined) continue;
    const users = core.containers
      .list()
      .filter((other) => other !== container)
      .filter((other) => other.record.mounts.some((candidate) => candidate.Name === mount.Name));
    if (users.length > 0) continue;
    try {
      // An engine that was killed did not tell the volume that its user is gone.
      await core.volumes.unmount(mount.Name, container.id);
      await core.volumes.remove(mount.Name, { force: true });
      core.events.publish('volume', 'destroy', mount.Name, { driver: mount.Driver ?? 'local' });
    } catch (error) {
      core.log('warn', 'could not remove an anonymous volume', { name: mount.Name, error: String(error) });
    }
  }
}

/** Removes all stopped containers that the filters (`until`, `label`, `label!`) let through. */
export async function pruneContainers(
  core: EngineCore,
  filters: Filters = {},
): Promise<{ readonly deleted: readonly string[]; readonly bytes: number }> {
  checkFilters(filters, ['until', 'label', 'label!']);
  const until = pruneTime(filters);
  const deleted: string[] = [];
  let bytes = 0;
  for (const container of core.containers.list()) {
    const { state, createdAt, config } = container.record;
    if (!['created', 'exited', 'dead'].includes(state.status) || container.removal) continue;
    if (until !== undefined && Date.parse(createdAt) >= until) continue;
    if (!labelsMatch(filters, config.Labels)) continue;
    const usage = await core.driver.usage(container.id).catch(() => ({ bytes: 0 }));
    try {
      await removeContainer(core, container.id);
    } catch (error) {
      if (VarveError.is(error) && (error.kind === 'conflict' || error.kind === 'not-found')) continue;
      throw error;
    }
    deleted.push(container.id);
    bytes += usage.bytes;
  }
  core.events.publish('container', 'prune', '', { reclaimed: String(bytes) });
  return { deleted, bytes };
}
