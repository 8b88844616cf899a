import { constants } from 'node:os';
import { lastErrno, systemError } from './libc.ts';

/** The errno values of this platform by name, errno(3). */
export const errno = constants.errno;

/**
 * A call's result in the kernel's own form: what it returned, or the negative errno. The calls of this room that
 * are made for every file of a tree give this, so that an expected failure (EEXIST, ENOENT) costs no exception.
 */
export type SysResult = number;

/** Reads errno at once after a libc call that says -1 on failure. */
export function result(returned: number): SysResult {
  return returned < 0 ? -lastErrno() : returned;
}

/**
 * Passes a successful result through.
 * @throws VarveError whose code is the errno's name, as {@link systemError} makes it.
 */
export function check(value: SysResult, call: string, subject: Buffer | string): number {
  if (value >= 0) return value;
  throw systemError(call, typeof subject === 'string' ? subject : subject.toString(), -value);
}
