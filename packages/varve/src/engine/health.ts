import { randomId } from '../base/index.ts';
import { sendSignal } from '../linux/index.ts';
import type { Healthcheck } from '../oci/index.ts';
import type { Container } from './container.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { processEnvironment } from './runtime-spec.ts';
import { longestTimerMs, now } from './time.ts';
import type { ContainerRecord, HealthResult, HealthState } from './types.ts';

/** Docker's defaults (moby daemon/health.go), milliseconds. */
const defaults = { interval: 30_000, timeout: 30_000, startInterval: 5000, retries: 3 };
const keptResults = 5;
const keptOutput = 4096;

function probeCommand(record: ContainerRecord): string[] | undefined {
  const test = record.config.Healthcheck?.Test ?? [];
  if (test[0] === 'CMD') return test.slice(1);
  if (test[0] === 'CMD-SHELL') return [...(record.config.Shell ?? ['/bin/sh', '-c']), test[1] ?? ''];
  return undefined;
}

/** The state of health at a start; undefined without a check. */
export function initialHealth(record: ContainerRecord): HealthState | undefined {
  return probeCommand(record) ? { Status: 'starting', FailingStreak: 0, Log: [] } : undefined;
}

/** What one more result does to the state (Docker's rules: a failure within the start period does not count). */
export function nextHealth(
  before: HealthState,
  result: HealthResult,
  check: { readonly retries: number; readonly inStartPeriod: boolean },
): HealthState {
  const Log = [...before.Log, result].slice(-keptResults);
  if (result.ExitCode === 0) return { Status: 'healthy', FailingStreak: 0, Log };
  if (before.Status === 'starting' && check.inStartPeriod) return { ...before, Log };
  const FailingStreak = before.FailingStreak + 1;
  return { Status: FailingStreak >= check.retries ? 'unhealthy' : before.Status, FailingStreak, Log };
}

/** Runs one check. A check that takes too long fails with -1, as in Docker. */
async function probe(
  core: EngineCore,
  container: Container,
  command: readonly string[],
  timeoutMs: number,
): Promise<HealthResult> {
  const Start = now();
  const { record } = container;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    const running = await core.runtime.exec(record.id, randomId(), {
      args: command,
      env: processEnvironment(record, false),
      workingDir: record.config.WorkingDir || '/',
      user: record.config.User ?? '',
      tty: false,
      openStdin: false,
      privileged: false,
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), Math.min(timeoutMs, longestTimerMs));
    });
    const finished = (async () => {
      for await (const { data } of running.streams.output) {
        if (size < keptOutput) chunks.push(data.subarray(0, keptOutput - size));
        size += data.length;
      }
      return running.exit;
    })();
    finished.catch(() => undefined);
    const exit = await Promise.race([finished, late]);
    clearTimeout(timer);
    if (exit === 'late') {
      sendSignal(running.pid, 9);
      running.streams.close();
      return {
        Start,
        End: now(),
        ExitCode: -1,
        Output: `Health check exceeded timeout (${timeoutMs >= 1000 ? `${timeoutMs / 1000}s` : `${timeoutMs}ms`})`,
      };
    }
    return { Start, End: now(), ExitCode: exit, Output: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    return {
      Start,
      End: now(),
      ExitCode: -1,
      Output: error instanceof Error ? error.message : String(error),
    };
  }
}

function milliseconds(nanoseconds: number | undefined, fallback: number): number {
  return nanoseconds ? nanoseconds / 1e6 : fallback;
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, longestTimerMs));
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}

async function checkLoop(
  core: EngineCore,
  container: Container,
  command: readonly string[],
  check: Healthcheck,
  signal: AbortSignal,
): Promise<void> {
  const startPeriod = milliseconds(check.StartPeriod, 0);
  const startedMs = Date.parse(container.state.startedAt);
  const retries = check.Retries || defaults.retries;
  for (;;) {
    const starting = Date.now() - startedMs < startPeriod && container.state.health?.Status === 'starting';
    const interval = starting
      ? Math.min(
          milliseconds(check.StartInterval, defaults.startInterval),
          milliseconds(check.Interval, defaults.interval),
        )
      : milliseconds(check.Interval, defaults.interval);
    await wait(interval, signal);
    if (signal.aborted) return;
    if (container.state.status !== 'running') continue;
    const result = await probe(core, container, command, milliseconds(check.Timeout, defaults.timeout));
    const before = container.state.health;
    if (signal.aborted || !before || !container.running) return;
    const inStartPeriod = Date.parse(result.Start) - startedMs < startPeriod;
    const health = nextHealth(before, result, { retries, inStartPeriod });
    core.containers.updateState(container, { health });
    if (health.Status !== before.Status) publishContainer(core, container, `health_status: ${health.Status}`);
  }
}

/** Checks the container's health from now until {@link endHealthChecks}; does nothing without a check. */
export function beginHealthChecks(core: EngineCore, container: Container): void {
  const command = probeCommand(container.record);
  const check = container.record.config.Healthcheck;
  endHealthChecks(container);
  if (!command || !check) return;
  const timer = new AbortController();
  container.healthTimer = timer;
  checkLoop(core, container, command, check, timer.signal).catch((error: unknown) =>
    core.log('warn', 'health checks ended', { id: container.id, error: String(error) }),
  );
}

export function endHealthChecks(container: Container): void {
  container.healthTimer?.abort();
  container.healthTimer = undefined;
}
