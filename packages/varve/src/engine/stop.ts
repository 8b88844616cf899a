import { VarveError } from '../base/index.ts';
import type { Container } from './container.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { cancelRestart } from './exit.ts';
import { parseSignal } from './signals.ts';
import { launch } from './start.ts';
import { longestTimerMs } from './time.ts';

const sigkill = 9;
/** Docker's default time between the stop signal and SIGKILL. */
const defaultStopSeconds = 10;
/** How long the kernel may take after SIGKILL before we say so. */
const killPatienceMs = 10_000;

export interface StopOptions {
  /** Name or number; the container's own stop signal when absent. */
  readonly signal?: string;
  /** Seconds until SIGKILL; negative waits for ever. */
  readonly timeout?: number;
}

/** Resolves to true when the container has ended within the time. */
async function ended(container: Container, milliseconds: number | undefined): Promise<boolean> {
  if (!container.running) return true;
  const exit = container.exitHandled.then(() => true);
  if (milliseconds === undefined) return exit;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.min(milliseconds, longestTimerMs));
  });
  try {
    return await Promise.race([exit, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Sends a signal; its event comes before that of the end it may bring. */
async function send(core: EngineCore, container: Container, signal: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  container.signalled = promise;
  try {
    await core.runtime.kill(container.id, signal);
    publishContainer(core, container, 'kill', { signal: String(signal) });
  } catch (error) {
    // It ended in between: what was wanted has happened.
    if (VarveError.is(error) && (error.kind === 'not-found' || error.kind === 'conflict')) return;
    throw error;
  } finally {
    resolve();
  }
}

async function thaw(core: EngineCore, container: Container): Promise<void> {
  if (container.state.status !== 'paused') return;
  await core.runtime.resume(container.id);
  if (container.state.status === 'paused') core.containers.updateState(container, { status: 'running' });
}

/** Kills and waits until the end has been handled. @throws VarveError `unavailable` when the kernel does not end it. */
export async function killAndWait(core: EngineCore, container: Container): Promise<void> {
  container.stopRequested = true;
  cancelRestart(core, container);
  if (!container.running) return;
  await send(core, container, sigkill);
  await thaw(core, container);
  if (await ended(container, killPatienceMs)) return;
  throw new VarveError(
    'unavailable',
    'KILL_TIMEOUT',
    `tried to kill container, but did not receive an exit event`,
    { subject: container.id },
  );
}

/** Stops a running container: its signal, then SIGKILL after the time. */
async function stopRunning(core: EngineCore, container: Container, options: StopOptions): Promise<void> {
  const { config } = container.record;
  const signal = parseSignal(options.signal || config.StopSignal || 'SIGTERM');
  const seconds = options.timeout ?? config.StopTimeout ?? defaultStopSeconds;
  container.stopRequested = true;
  await send(core, container, signal);
  await thaw(core, container);
  if (await ended(container, seconds < 0 ? undefined : seconds * 1000)) return;
  await killAndWait(core, container);
}

/**
 * Stops a container and returns when it has ended.
 * @throws VarveError `not-modified` when it does not run.
 */
export async function stopContainer(
  core: EngineCore,
  nameOrId: string,
  options: StopOptions = {},
): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  if (options.signal) parseSignal(options.signal);
  await core.containers.lock(container, async () => {
    if (container.state.status === 'restarting') {
      container.stopRequested = true;
      core.containers.update(container, { manuallyStopped: true }, 'process');
      cancelRestart(core, container);
      return;
    }
    if (!container.running) throw new VarveError('not-modified', 'STOPPED', 'container is already stopped');
    if (container.record.hostConfig.RestartPolicy.Name !== 'no') {
      core.containers.update(container, { manuallyStopped: true }, 'process');
    }
    await stopRunning(core, container, options);
  });
  publishContainer(core, container, 'stop');
}

/** Stops it if it runs, and starts it. */
export async function restartContainer(
  core: EngineCore,
  nameOrId: string,
  options: StopOptions = {},
): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  await core.containers.lock(container, async () => {
    if (container.removal || ['removing', 'dead'].includes(container.state.status)) {
      throw new VarveError('conflict', 'REMOVING', 'container is marked for removal and cannot be started');
    }
    container.restarting = true;
    try {
      cancelRestart(core, container);
      if (container.running) {
        await stopRunning(core, container, options);
        publishContainer(core, container, 'stop');
      }
      await container.exitHandled;
      container.stopRequested = false;
      core.containers.update(container, { manuallyStopped: false }, 'process');
      await launch(core, container);
    } finally {
      container.restarting = false;
    }
  });
  publishContainer(core, container, 'restart');
}

/**
 * Sends a signal. SIGKILL returns when the container has ended.
 * @throws VarveError `conflict` in Docker's words when it does not run.
 */
export async function killContainer(core: EngineCore, nameOrId: string, signal = 'SIGKILL'): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  const number = parseSignal(signal || 'SIGKILL');
  if (!container.running) {
    throw new VarveError(
      'conflict',
      'CONTAINER_NOT_RUNNING',
      `cannot kill container: ${nameOrId}: container ${container.id} is not running`,
      { subject: nameOrId },
    );
  }
  const own = container.record.config.StopSignal;
  const stops = number === sigkill || !own || parseSignal(own) === number;
  if (stops) {
    container.stopRequested = true;
    if (container.record.hostConfig.RestartPolicy.Name !== 'no') {
      core.containers.update(container, { manuallyStopped: true }, 'process');
    }
  }
  if (number === sigkill) {
    await killAndWait(core, container);
    return;
  }
  await send(core, container, number);
  if (stops) await thaw(core, container);
}

/** Freezes all processes. @throws VarveError `conflict`. */
export async function pauseContainer(core: EngineCore, nameOrId: string): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  await core.containers.lock(container, async () => {
    if (container.state.status === 'paused') {
      throw new VarveError('conflict', 'PAUSED', `Container ${container.id} is already paused`);
    }
    requireRunning(container);
    await core.runtime.pause(container.id);
    core.containers.updateState(container, { status: 'paused' });
    publishContainer(core, container, 'pause');
  });
}

/** Thaws them. @throws VarveError `conflict`. */
export async function unpauseContainer(core: EngineCore, nameOrId: string): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  await core.containers.lock(container, async () => {
    if (container.state.status !== 'paused') {
      throw new VarveError('conflict', 'NOT_PAUSED', `Container ${container.id} is not paused`);
    }
    await thaw(core, container);
    publishContainer(core, container, 'unpause');
  });
}

/** @throws VarveError `conflict` in Docker's words unless the container runs. */
export function requireRunning(container: Container): void {
  if (container.state.status === 'running') return;
  const { status } = container.state;
  const message =
    status === 'paused'
      ? `container ${container.id} is paused, unpause the container before exec`
      : status === 'restarting'
        ? `Container ${container.id} is restarting, wait until the container is running`
        : `container ${container.id} is not running`;
  throw new VarveError('conflict', 'CONTAINER_NOT_RUNNING', message, { subject: container.id });
}
