import { setTimeout as delay } from 'node:timers/promises';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';
import { now } from './time.ts';
import { zeroTime } from './types.ts';

/** One sample in the shape of the Docker API, with the one before it as `precpu_stats`. */
export type StatsSample = Readonly<Record<string, unknown>>;

const period = 1000;

function empty(container: Container): StatsSample {
  return {
    name: `/${container.name}`,
    id: container.id,
    read: zeroTime,
    preread: zeroTime,
    pids_stats: {},
    blkio_stats: {
      io_service_bytes_recursive: null,
      io_serviced_recursive: null,
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: emptyCpu,
    precpu_stats: emptyCpu,
    memory_stats: {},
  };
}

const emptyCpu = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

async function sample(
  core: EngineCore,
  container: Container,
  before: StatsSample | undefined,
): Promise<StatsSample> {
  if (!container.running) return empty(container);
  const measured = await core.runtime.stats(container.id).catch(() => undefined);
  if (measured === undefined) return empty(container);
  return {
    ...empty(container),
    ...measured,
    name: `/${container.name}`,
    id: container.id,
    read: now(),
    preread: before?.['read'] ?? zeroTime,
    precpu_stats: before?.['cpu_stats'] ?? emptyCpu,
  };
}

/**
 * Samples of a container's use, one a second. A stopped container gives zeros.
 * @param options.stream false gives one: with two measurements a second apart, or with `oneShot` only one.
 * @throws VarveError `not-found`.
 */
export function containerStats(
  core: EngineCore,
  nameOrId: string,
  options: { readonly stream: boolean; readonly oneShot?: boolean; readonly signal?: AbortSignal },
): AsyncIterable<StatsSample> {
  const container = core.containers.resolve(nameOrId);
  return (async function* () {
    let before: StatsSample | undefined;
    if (!options.stream) {
      if (!options.oneShot && container.running) {
        before = await sample(core, container, undefined);
        await delay(period, undefined, options.signal ? { signal: options.signal } : {});
      }
      yield await sample(core, container, before);
      return;
    }
    while (!options.signal?.aborted && !core.closing.signal.aborted && core.containers.has(container.id)) {
      const present = await sample(core, container, before);
      yield present;
      before = container.running ? present : undefined;
      try {
        await delay(period, undefined, options.signal ? { signal: options.signal } : {});
      } catch {
        return;
      }
    }
  })();
}
