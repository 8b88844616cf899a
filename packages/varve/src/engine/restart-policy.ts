import type { RestartPolicy } from './types.ts';

/** First wait before a restart; doubled each time up to {@link longestDelayMs} (moby restartmanager). */
const firstDelayMs = 100;
const longestDelayMs = 60_000;
/** A run this long makes the next wait short again. */
const steadyRunMs = 10_000;

export interface EndOfRun {
  readonly exitCode: number;
  /** A user stopped, killed or removed it. */
  readonly stopRequested: boolean;
  readonly restartCount: number;
  readonly ranMs: number;
  /** The wait before this run; 0 for the first. */
  readonly lastDelayMs: number;
}

/** How long to wait before the container starts again; undefined leaves it stopped. */
export function restartDelay(policy: RestartPolicy, end: EndOfRun): number | undefined {
  if (end.stopRequested) return undefined;
  const wanted =
    policy.Name === 'always' ||
    policy.Name === 'unless-stopped' ||
    (policy.Name === 'on-failure' &&
      end.exitCode !== 0 &&
      (policy.MaximumRetryCount === 0 || end.restartCount < policy.MaximumRetryCount));
  if (!wanted) return undefined;
  if (end.lastDelayMs === 0 || end.ranMs >= steadyRunMs) return firstDelayMs;
  return Math.min(end.lastDelayMs * 2, longestDelayMs);
}

/** Whether a container starts again with the engine, given how it was when the engine ended. */
export function startsWithEngine(
  policy: RestartPolicy,
  last: { readonly wasRunning: boolean; readonly manuallyStopped: boolean; readonly exitCode: number },
): boolean {
  if (policy.Name === 'always') return true;
  if (policy.Name === 'unless-stopped') return !last.manuallyStopped;
  return policy.Name === 'on-failure' && last.wasRunning && last.exitCode !== 0;
}
