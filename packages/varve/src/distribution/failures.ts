import { type ErrorKind, VarveError } from '../base/index.ts';

/** One entry of a registry's error answer. OCI distribution spec, spec.md#error-codes. */
export interface RegistryFault {
  readonly code: string;
  readonly message: string;
}

const kinds: Readonly<Record<string, ErrorKind>> = {
  UNAUTHORIZED: 'unauthorized',
  DENIED: 'forbidden',
  NAME_UNKNOWN: 'not-found',
  MANIFEST_UNKNOWN: 'not-found',
  BLOB_UNKNOWN: 'not-found',
  BLOB_UPLOAD_UNKNOWN: 'not-found',
  TAG_INVALID: 'invalid',
  NAME_INVALID: 'invalid',
  DIGEST_INVALID: 'invalid',
  SIZE_INVALID: 'invalid',
  RANGE_INVALID: 'invalid',
  MANIFEST_INVALID: 'invalid',
  MANIFEST_BLOB_UNKNOWN: 'invalid',
  MANIFEST_UNVERIFIED: 'invalid',
  BLOB_UPLOAD_INVALID: 'invalid',
  TOOMANYREQUESTS: 'exhausted',
  UNSUPPORTED: 'not-implemented',
  UNAVAILABLE: 'unavailable',
};

function kindOfStatus(status: number): ErrorKind {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 405 || status === 501) return 'not-implemented';
  if (status === 413) return 'too-large';
  if (status === 429) return 'exhausted';
  return status >= 500 ? 'unavailable' : 'invalid';
}

const codes: Readonly<Record<number, string>> = {
  401: 'UNAUTHORIZED',
  403: 'DENIED',
  404: 'NOT_FOUND',
  405: 'UNSUPPORTED',
  416: 'RANGE_INVALID',
  429: 'TOOMANYREQUESTS',
};

/** What a registry says goes to terminals and logs: one line, no control characters, not endless. */
export function printable(text: string, limit = 500): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, limit);
}

/** Reads `{"errors":[{code,message}]}`; undefined when the body is something else. */
export function parseFault(body: Uint8Array): RegistryFault | undefined {
  try {
    const parsed = JSON.parse(Buffer.from(body).toString()) as {
      readonly errors?: readonly { readonly code?: unknown; readonly message?: unknown }[];
      readonly details?: unknown;
    } | null;
    const first = Array.isArray(parsed?.errors) ? parsed.errors[0] : undefined;
    if (typeof first?.code !== 'string') return undefined;
    const message = typeof first.message === 'string' ? printable(first.message) : '';
    return { code: printable(first.code, 60).toUpperCase(), message };
  } catch {
    return undefined;
  }
}

/** `manifest unknown: manifest unknown`: how Docker prints a registry's error (distribution `errcode.Error`). */
function faultText(fault: RegistryFault): string {
  const code = fault.code.toLowerCase().replaceAll('_', ' ');
  return fault.message === '' ? code : `${code}: ${fault.message}`;
}

/** What was being done, for the words of an error. */
export interface FailureContext {
  readonly action: 'pull' | 'push';
  /** Familiar repository name, `app`. */
  readonly name: string;
  /** Familiar reference, `app:1`; for manifests. */
  readonly reference?: string;
}

/** Docker's words for a pull (moby `translatePullError`); they tell a missing image from a private one as little as the registry does. */
function pullMessage(fault: RegistryFault, context: FailureContext): string | undefined {
  if (fault.code === 'DENIED') {
    return `pull access denied for ${context.name}, repository does not exist or may require 'docker login'`;
  }
  if (fault.code === 'MANIFEST_UNKNOWN') return `manifest for ${context.reference ?? context.name} not found`;
  if (fault.code === 'NAME_UNKNOWN') return `repository ${context.name} not found`;
  return undefined;
}

/**
 * The error for an unwanted answer of a registry. Code: the registry's own, or one made from the status; `data`
 * has `status`, and `retryAfter` in seconds when the registry asked for patience.
 */
export function answerFailure(
  answer: {
    readonly status: number;
    readonly body: Uint8Array;
    readonly retryAfter: number | undefined;
    /** What the headers said, in place of the body. */
    readonly fault?: RegistryFault;
  },
  context: FailureContext,
): VarveError {
  const { status, retryAfter } = answer;
  const parsed = answer.fault ?? parseFault(answer.body);
  const statusCode = codes[status] ?? (status >= 500 ? 'REGISTRY_ERROR' : 'REGISTRY_REFUSED');
  const code = parsed && Object.hasOwn(kinds, parsed.code) ? parsed.code : statusCode;
  const details = {
    subject: context.reference ?? context.name,
    data: { status, ...(retryAfter === undefined ? {} : { retryAfter }) },
    ...(code === 'UNAUTHORIZED' || code === 'DENIED'
      ? { hint: 'log in to this registry with `varve login`' }
      : {}),
  };
  if (parsed === undefined) {
    const message = `received unexpected HTTP status: ${status}`;
    return new VarveError(kindOfStatus(status), code, `${context.name}: ${message}`, details);
  }
  const text = faultText(parsed);
  const prefix = context.action === 'pull' ? pullMessage(parsed, context) : undefined;
  const kind = prefix === undefined ? (kinds[parsed.code] ?? kindOfStatus(status)) : 'not-found';
  return new VarveError(kind, code, prefix === undefined ? text : `${prefix}: ${text}`, details);
}

interface SystemError {
  readonly code?: string;
  readonly address?: string;
  readonly port?: number;
  readonly message: string;
}

const lostCodes = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENETRESET',
  'ECONNABORTED',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CLOSED',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);

function connectionText(error: SystemError, url: URL): string {
  const place = error.address === undefined ? url.host : `${error.address}:${error.port ?? url.port}`;
  if (error.code === 'ECONNREFUSED') return `dial tcp ${place}: connect: connection refused`;
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN')
    return `dial tcp: lookup ${url.hostname}: no such host`;
  if (isProtocolError(error)) return 'http: server gave HTTP response to HTTPS client';
  return error.message;
}

/** True when a TLS hello was answered by something that does not speak TLS. */
export function isProtocolError(error: unknown): boolean {
  const { code = '', message = '' } = (error ?? {}) as { readonly code?: string; readonly message?: string };
  return (
    code === 'ERR_SSL_WRONG_VERSION_NUMBER' ||
    code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG' ||
    /wrong version number|packet length too long|http request/i.test(message)
  );
}

/** The error for a connection that failed or broke; `CONNECTION_LOST` may be tried again, `REGISTRY_UNREACHABLE` not. */
export function connectionFailure(error: unknown, method: string, url: URL): VarveError {
  if (VarveError.is(error)) return error;
  const found = (error instanceof AggregateError ? error.errors[0] : error) as SystemError & {
    readonly name?: string;
  };
  if (found.name === 'AbortError' || found.name === 'TimeoutError') return VarveError.from(found);
  const verb = method.charAt(0) + method.slice(1).toLowerCase();
  const lost =
    lostCodes.has(found.code ?? '') || /other side closed|terminated|socket hang up/.test(found.message);
  return new VarveError(
    'unavailable',
    lost ? 'CONNECTION_LOST' : 'REGISTRY_UNREACHABLE',
    `${verb} "${url.origin}${url.pathname}": ${connectionText(found, url)}`,
    {
      subject: url.host,
      cause: error,
      ...(isProtocolError(found)
        ? { hint: `if ${url.host} is meant to use plain HTTP, list it as an insecure registry` }
        : {}),
    },
  );
}
