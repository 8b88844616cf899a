import { type ErrorKind, VarveError } from '../base/index.ts';

/** HTTP status of each kind of failure (moby api/server/httpstatus). */
const statusOf: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'not-modified': 304,
  'too-large': 413,
  exhausted: 507,
  'not-implemented': 501,
  unavailable: 503,
  cancelled: 499,
  'data-loss': 500,
  internal: 500,
};

/** The answer to a failure: status and the message Docker's clients show; a hint goes on the next line. */
export function failureAnswer(error: unknown): { readonly status: number; readonly message: string } {
  const { kind, message, hint } = VarveError.from(error);
  return { status: statusOf[kind], message: hint === undefined ? message : `${message}\nhint: ${hint}` };
}
