import { VarveError } from '../base/index.ts';
import type { EngineCore } from './core.ts';
import { stopContainer } from './stop.ts';

/**
 * Ends the engine in order. Containers are stopped, with their own stop signal and time, unless `liveRestore` keeps
 * them: their policy then does not start them again, and the next engine finds them as they are.
 */
export async function stopAllContainers(core: EngineCore): Promise<void> {
  if (core.config.liveRestore) return;
  const running = core.containers
    .list()
    .filter((container) => container.running || container.state.status === 'restarting');
  await Promise.all(
    running.map(async (container) => {
      const { StopTimeout } = container.record.config;
      const manuallyStopped = container.record.manuallyStopped;
      try {
        await stopContainer(core, container.id, { timeout: StopTimeout ?? core.config.shutdownTimeout });
        // The stop was ours, not the user's: `unless-stopped` starts it with the next engine.
        if (core.containers.has(container.id))
          core.containers.update(container, { manuallyStopped }, 'process');
      } catch (error) {
        if (VarveError.is(error) && error.kind === 'not-modified') return;
        core.log('error', 'could not stop a container', {
          id: container.id,
          error: VarveError.from(error).message,
        });
      }
    }),
  );
}
