/**
 * What a caller can do about a failure. The kind decides the HTTP status, the exit code and whether a retry
 * makes sense; it is mapped once, at the edge (the Docker API's classes in moby `errdefs`).
 */
export type ErrorKind =
  | 'invalid' // the input is wrong: 400
  | 'unauthorized' // no or bad credentials: 401
  | 'forbidden' // known, and not allowed: 403
  | 'not-found' // 404
  | 'conflict' // the state forbids it now: 409
  | 'not-modified' // already so: 304
  | 'too-large' // over a limit: 413
  | 'exhausted' // out of space, quota or rate: 429 or 507
  | 'not-implemented' // 501
  | 'unavailable' // try again later, or start something first: 503
  | 'cancelled' // the caller's AbortSignal fired: 499
  | 'data-loss' // stored or received bytes are not what their name says: 500
  | 'internal'; // a fault of ours or of the system: 500

/** Optional parts of a {@link VarveError}. */
export interface ErrorDetails {
  /** One sentence: what to do next. Printed on a `hint:` line. */
  readonly hint?: string;
  /** The object the failure is about: a reference, digest, path or id. */
  readonly subject?: string;
  /** The failure below this one. */
  readonly cause?: unknown;
  /** Further data for machines, as shown by `--json`. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** SQLITE_FULL, as node:sqlite reports a full disk. */
const sqliteFull = 13;

const brand = Symbol.for('varve.error');

/** Every error that Varve throws on purpose. `code` is stable, upper snake case and documented. */
export class VarveError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly hint: string | undefined;
  readonly subject: string | undefined;
  readonly data: Readonly<Record<string, unknown>> | undefined;
  readonly [brand] = true;

  constructor(kind: ErrorKind, code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'VarveError';
    this.kind = kind;
    this.code = code;
    this.hint = details.hint;
    this.subject = details.subject;
    this.data = details.data;
  }

  /** True for a VarveError of any copy of this module (bundles and workers each have their own class). */
  static is(value: unknown): value is VarveError {
    return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true;
  }

  /** Wraps anything thrown: VarveErrors pass through, aborts become `cancelled`, system errors keep their errno. */
  static from(value: unknown): VarveError {
    if (VarveError.is(value)) return value;
    if (value instanceof Error) {
      if (value.name === 'AbortError' || value.name === 'TimeoutError') {
        return new VarveError('cancelled', 'CANCELLED', value.message, { cause: value });
      }
      const { code, path, errcode } = value as NodeJS.ErrnoException & { readonly errcode?: number };
      if (code === 'ENOSPC' || code === 'EDQUOT' || errcode === sqliteFull) {
        return new VarveError('exhausted', 'NO_SPACE', value.message, {
          cause: value,
          ...(path === undefined ? {} : { subject: path }),
          hint: 'free space with `varve system prune`',
        });
      }
      return new VarveError('internal', code ?? 'INTERNAL', value.message, { cause: value });
    }
    return new VarveError('internal', 'INTERNAL', String(value));
  }
}

/** True when `value` is an error of the given kind. */
export function isKind(value: unknown, kind: ErrorKind): boolean {
  return VarveError.is(value) && value.kind === kind;
}

/** A `not-found` error in the Docker wording, e.g. `No such image: x:latest`. */
export function notFound(what: string, name: string, details: ErrorDetails = {}): VarveError {
  return new VarveError('not-found', `NO_SUCH_${what.toUpperCase()}`, `No such ${what}: ${name}`, {
    subject: name,
    ...details,
  });
}
