import { type ErrorDetails, type ErrorKind, VarveError } from '../base/index.ts';

interface CodeEntry {
  readonly status: number;
  readonly kind: ErrorKind;
  readonly message: string;
}

/**
 * The error codes of the OCI distribution spec (spec.md#error-codes), and below the line those that docker/distribution
 * added and clients know. The status is the default of the code; {@link RegistryError} may override it.
 */
export const registryErrorCodes = {
  BLOB_UNKNOWN: { status: 404, kind: 'not-found', message: 'blob unknown to registry' },
  BLOB_UPLOAD_INVALID: { status: 400, kind: 'invalid', message: 'blob upload invalid' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, kind: 'not-found', message: 'blob upload unknown to registry' },
  DIGEST_INVALID: {
    status: 400,
    kind: 'invalid',
    message: 'provided digest did not match uploaded content',
  },
  MANIFEST_BLOB_UNKNOWN: {
    status: 400,
    kind: 'invalid',
    message: 'manifest references a manifest or blob unknown to registry',
  },
  MANIFEST_INVALID: { status: 400, kind: 'invalid', message: 'manifest invalid' },
  MANIFEST_UNKNOWN: { status: 404, kind: 'not-found', message: 'manifest unknown to registry' },
  NAME_INVALID: { status: 400, kind: 'invalid', message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, kind: 'not-found', message: 'repository name not known to registry' },
  SIZE_INVALID: { status: 400, kind: 'invalid', message: 'provided length did not match content length' },
  UNAUTHORIZED: { status: 401, kind: 'unauthorized', message: 'authentication required' },
  DENIED: { status: 403, kind: 'forbidden', message: 'requested access to the resource is denied' },
  UNSUPPORTED: { status: 405, kind: 'not-implemented', message: 'the operation is unsupported' },
  TOOMANYREQUESTS: { status: 429, kind: 'exhausted', message: 'too many requests' },
  // ---- beyond the spec's table
  TAG_INVALID: { status: 400, kind: 'invalid', message: 'manifest tag did not match URI' },
  RANGE_INVALID: { status: 416, kind: 'invalid', message: 'invalid content range' },
  PAGINATION_NUMBER_INVALID: {
    status: 400,
    kind: 'invalid',
    message: 'invalid number of results requested',
  },
  MANIFEST_UNVERIFIED: { status: 400, kind: 'invalid', message: 'manifest failed signature verification' },
  UNKNOWN: { status: 500, kind: 'internal', message: 'unknown error' },
  UNAVAILABLE: { status: 503, kind: 'unavailable', message: 'service unavailable' },
} as const satisfies Readonly<Record<string, CodeEntry>>;

export type RegistryErrorCode = keyof typeof registryErrorCodes;

/** What may differ from the entry of the code. */
export interface RegistryErrorOptions extends ErrorDetails {
  readonly status?: number;
  readonly message?: string;
  /** The `detail` member of the error body. */
  readonly detail?: unknown;
  /** Several errors of this code, one for each. */
  readonly details?: readonly unknown[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** A failure with its place in the spec's table; {@link errorBody} makes the JSON. */
export class RegistryError extends VarveError {
  readonly status: number;
  /** The `detail` of each error of the body, one or more. */
  readonly details: readonly unknown[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: RegistryErrorCode, options: RegistryErrorOptions = {}) {
    const entry = registryErrorCodes[code];
    super(entry.kind, code, options.message ?? entry.message, options);
    this.status = options.status ?? entry.status;
    this.details = options.details ?? [options.detail];
    this.headers = options.headers ?? {};
  }

  /** Anything thrown as a RegistryError; a full disk is told from a fault of ours. */
  static override from(value: unknown): RegistryError {
    if (value instanceof RegistryError) return value;
    const error = VarveError.from(value);
    if (error.code === 'NO_SPACE' || isDatabaseFull(value)) {
      return new RegistryError('UNKNOWN', { status: 507, message: 'no space left in storage', cause: error });
    }
    if (error.code === 'DIGEST_INVALID') {
      return new RegistryError('DIGEST_INVALID', {
        message: error.message,
        cause: error,
        ...(error.subject === undefined ? {} : { subject: error.subject }),
      });
    }
    if (error.kind === 'unavailable') return new RegistryError('UNAVAILABLE', { cause: error });
    // The message may hold paths of this machine: it goes to the log, not to the client.
    return new RegistryError('UNKNOWN', { cause: error });
  }
}

// SQLITE_FULL of sqlite3.h, as node:sqlite passes it on.
const sqliteFull = 13;

function isDatabaseFull(value: unknown): boolean {
  return value instanceof Error && 'errcode' in value && value.errcode === sqliteFull;
}

/** The JSON body of a failed request. spec.md#error-codes. */
export function errorBody(error: Pick<RegistryError, 'code' | 'message' | 'details'>): string {
  const { code, message } = error;
  const errors = error.details.map((detail) => ({
    code,
    message,
    ...(detail === undefined ? {} : { detail }),
  }));
  return `${JSON.stringify({ errors })}\n`;
}
