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

async function* afterExit<T>(
  container: Container,
  output: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  yield* output;
  await endKnown(container, signal);
}

/**
 * Resolves when the end of a run is in its record: who has seen the last byte may remove the container at once. Not
 * later than {@link longestWait} after the output, for a stream that was cut while the container goes on.
 */
export async function endKnown(container: Container, signal: AbortSignal): Promise<void> {
  if (!container.running || signal.aborted) return;
  let done: () => void = () => undefined;
  const enough = new Promise<void>((resolve) => {
    done = resolve;
  });
  const timer = setTimeout(done, longestWait);
  signal.addEventListener('abort', done, { once: true });
  await Promise.race([container.exitKnown, enough]);
  clearTimeout(timer);
  signal.removeEventListener('abort', done);
}

const longestWait = 2000;
