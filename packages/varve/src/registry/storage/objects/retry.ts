import { setTimeout as pause } from 'node:timers/promises';
import { isKind, VarveError } from '../../../base/index.ts';

/** How often and how long {@link withRetry} tries. */
export interface RetryPolicy {
  readonly attempts: number;
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

// 0.1 + 0.2 + 0.4 + … : about 13 s in all, which outlasts a restart of a gateway and most slow-downs, and is less
// than the minute after which clients give up.
const defaultPolicy: RetryPolicy = { attempts: 8, firstPauseMs: 100, longestPauseMs: 5000 };

/**
 * Does `work` again while it fails with `unavailable`, after a pause that doubles, cut by chance so that many clients
 * of a store that comes back do not come back together.
 */
export async function withRetry<T>(
  work: () => Promise<T>,
  { attempts, firstPauseMs, longestPauseMs }: RetryPolicy = defaultPolicy,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= attempts || !isKind(error, 'unavailable')) throw error;
      const most = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1));
      await pause(most * (0.5 + Math.random() / 2));
    }
  }
}

// What sockets and resolvers say of a server that is away or goes away.
const transientCodes: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
]);
const transientNames: ReadonlySet<string> = new Set([
  'TimeoutError',
  'ResponseTimeoutError',
  'ConnectionTimeoutError',
]);
// Too many requests, and time-outs that proxies report; every 5xx but "not implemented" too.
const transientStatuses: ReadonlySet<number> = new Set([408, 425, 429]);

/** What a store's client says of a failure, as far as it says it. */
export interface StoreFailure {
  readonly store: string;
  /** What was done, e.g. `put uploads/…`. */
  readonly action: string;
  readonly status?: number | undefined;
  readonly code?: string | undefined;
  readonly cause: unknown;
}

/**
 * The failure of a store as a VarveError: `not-found` for 404, `conflict` for 409 and 412, `unavailable` for what may
 * pass, `forbidden` for refused credentials, `internal` for the rest.
 */
export function storeError({ store, action, status, code, cause }: StoreFailure): VarveError {
  if (VarveError.is(cause)) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const text = `${store}: ${action}: ${[status, code, reason].filter((part) => part !== undefined && part !== '').join(' ')}`;
  const details = { cause, subject: action };
  if (status === 404) return new VarveError('not-found', 'STORE_NOT_FOUND', text, details);
  if (status === 409 || status === 412) return new VarveError('conflict', 'STORE_CONFLICT', text, details);
  if (status === 507) return new VarveError('exhausted', 'NO_SPACE', text, details);
  if (status === 401 || status === 403) {
    return new VarveError('forbidden', 'STORE_DENIED', text, {
      ...details,
      hint: `check the credentials in storage.${store}`,
    });
  }
  if (isTransient(status, code, cause)) {
    return new VarveError('unavailable', 'STORE_UNAVAILABLE', text, details);
  }
  return new VarveError('internal', 'STORE_FAILED', text, details);
}

function isTransient(status: number | undefined, code: string | undefined, cause: unknown): boolean {
  if (status !== undefined && status >= 100) {
    return transientStatuses.has(status) || (status >= 500 && status !== 501);
  }
  if (code !== undefined && transientCodes.has(code)) return true;
  for (let error: unknown = cause, depth = 0; error instanceof Error && depth < 5; depth++) {
    const { code: own } = error as NodeJS.ErrnoException;
    if ((own !== undefined && transientCodes.has(own)) || transientNames.has(error.name)) return true;
    if (/socket hang up|other side closed|terminated/.test(error.message)) return true;
    error = error.cause;
  }
  return false;
}
