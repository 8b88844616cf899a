import type { WaitCondition, WaitResult } from './container.ts';
import type { EngineCore } from './core.ts';

/**
 * Begins to wait; what ends the wait is watched for when this returns, so that a start after it is not missed.
 * `not-running` is met at once by a container that does not run.
 * @throws VarveError `not-found`.
 * @returns undefined when the signal fired first.
 */
export function waitContainer(
  core: EngineCore,
  nameOrId: string,
  condition: WaitCondition,
  signal?: AbortSignal,
): { readonly result: Promise<WaitResult | undefined> } {
  const container = core.containers.resolve(nameOrId);
  if (condition === 'not-running' && !container.running && container.state.status !== 'restarting') {
    return { result: Promise.resolve({ exitCode: container.state.exitCode }) };
  }
  if (condition === 'removed') return { result: container.next('removed', signal) };
  // A container that goes away without another exit ends the wait too.
  const either = new AbortController();
  const both = signal ? AbortSignal.any([signal, either.signal]) : either.signal;
  const result = Promise.race([container.next('exit', both), container.next('removed', both)]);
  return { result: result.finally(() => either.abort()) };
}
