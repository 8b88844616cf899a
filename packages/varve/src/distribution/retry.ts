import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted, VarveError } from '../base/index.ts';

/** How patiently failing requests are repeated. */
export interface RetryPolicy {
  /** Tries in all. */
  readonly attempts: number;
  /** Milliseconds before the second try; doubled each time. */
  readonly delay: number;
  /** Longest wait in milliseconds, also for a `Retry-After`. */
  readonly longest: number;
}

export const defaultRetry: RetryPolicy = { attempts: 5, delay: 500, longest: 60_000 };

const transientStatus = new Set([408, 425, 429, 500, 502, 503, 504]);

/** True when the same request may succeed a little later. */
export function isTransient(error: unknown): boolean {
  if (!VarveError.is(error)) return false;
  const status = error.data?.['status'];
  return error.code === 'CONNECTION_LOST' || (typeof status === 'number' && transientStatus.has(status));
}

/** True when a transfer that got somewhere may get further later: a registry that restarts refuses connections for a while. */
export function isInterruption(error: unknown): boolean {
  return isTransient(error) || (VarveError.is(error) && error.code === 'REGISTRY_UNREACHABLE');
}

/** Milliseconds before try `attempt` (from 2): what the registry asked for, or doubling with full jitter in the upper half. */
export function retryDelay(policy: RetryPolicy, attempt: number, error: unknown): number {
  const asked = VarveError.is(error) ? error.data?.['retryAfter'] : undefined;
  if (typeof asked === 'number') return Math.min(asked * 1000, policy.longest);
  const full = Math.min(policy.delay * 2 ** (attempt - 2), policy.longest);
  return full / 2 + (Math.random() * full) / 2;
}

/** Waits, or throws `cancelled` when the signal fires first. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  try {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch {
    throwIfAborted(signal);
  }
}

/** Runs `task` until it succeeds, fails for good or the policy is used up. */
export async function withRetry<T>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  task: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      if (attempt >= policy.attempts || !isTransient(error)) throw error;
      await pause(retryDelay(policy, attempt + 1, error), signal);
    }
  }
}
