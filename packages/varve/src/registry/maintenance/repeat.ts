import type { Logger } from 'pino';

// Less would be work all the time.
const minIntervalMs = 100;
// setInterval takes no more than 2^31 - 1 ms, and takes 1 ms instead.
const maxTimerMs = 2 ** 31 - 1;

/** Does `work` at an interval, one at a time, until disposed of: that stops the one that runs, and waits for it. */
export function repeatEvery(
  intervalMs: number,
  logger: Logger,
  work: (signal: AbortSignal) => Promise<unknown>,
): AsyncDisposable & { run(): void } {
  const stop = new AbortController();
  let running: Promise<void> | undefined;
  const once = async (): Promise<void> => {
    try {
      await work(stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) logger.error({ err: error }, 'maintenance failed');
    } finally {
      running = undefined;
    }
  };
  const run = (): void => {
    running ??= once();
  };
  const timer = setInterval(run, Math.min(Math.max(intervalMs, minIntervalMs), maxTimerMs));
  timer.unref();
  return {
    run,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      stop.abort();
      await running;
    },
  };
}
