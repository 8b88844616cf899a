import { VarveError } from '../base/index.ts';
import type { LogLine, LogQuery } from '../runtime/index.ts';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';

/**
 * What a container has written, from its log. Following ends with the container.
 * @throws VarveError `not-found`; `invalid` when neither stream is asked for; `conflict` for a log driver that keeps nothing.
 */
export function containerLogs(core: EngineCore, nameOrId: string, query: LogQuery): AsyncIterable<LogLine> {
  const container = core.containers.resolve(nameOrId);
  if (!query.stdout && !query.stderr) {
    throw new VarveError('invalid', 'NO_STREAM', 'Bad parameters: you must choose at least one stream');
  }
  if (container.record.hostConfig.LogConfig.Type === 'none') {
    throw new VarveError('not-implemented', 'NO_LOGS', 'configured logging driver does not support reading');
  }
  const signal = query.signal ? AbortSignal.any([core.closing.signal, query.signal]) : core.closing.signal;
  const follow = query.follow === true && container.running;
  const lines = core.runtime.logs(container.id, { ...query, follow, signal });
  return follow ? afterExit(container, lines, signal) : lines;
}

/**
 * Ends a stream of a running container only when its end is known to all: who saw the last byte may remove it at once.
 */
export async function* afterExit<T>(
  container: Container,
  output: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const wasRunning = container.running;
  yield* output;
  if (wasRunning && !signal.aborted) await Promise.race([container.exitHandled, aborted(signal)]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
