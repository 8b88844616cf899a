import { VarveError } from '../base/index.ts';
import type { LogLine, LogQuery } from '../runtime/index.ts';
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
  const over = new AbortController();
  const signals = [over.signal, core.closing.signal, ...(query.signal ? [query.signal] : [])];
  const follow = query.follow === true && (container.running || container.state.status === 'restarting');
  const lines = core.runtime.logs(container.id, { ...query, follow, signal: AbortSignal.any(signals) });
  return lines;
}
