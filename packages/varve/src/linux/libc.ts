import koffi from 'koffi';
import { VarveError } from '../base/index.ts';

const libc = koffi.load('libc.so.6');

/**
 * Declares a libc function, e.g. `declare('int umount2(const char *path, int flags)')`. Calls are synchronous and
 * cost about 0.2 µs; after a failure {@link lastErrno} holds the cause, so read it before anything else runs.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the prototype in TypeScript's words
export function declare<F extends (...args: never[]) => unknown>(prototype: string): F {
  return libc.func(prototype) as unknown as F;
}

/**
 * Calls a function of {@link declare} on a thread of libuv's pool, for calls that can wait for a disk. Rejects only when
 * the arguments do not fit; a failed call resolves with its result and errno.
 */
export function background<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  ...args: A
): Promise<{ readonly result: R; readonly errno: number }> {
  const { async: call } = fn as unknown as { async: (this: void, ...args: unknown[]) => void };
  return new Promise((resolve, reject) => {
    call(...args, (error: unknown, result: R) => {
      if (error) reject(error);
      else resolve({ result, errno: koffi.errno() });
    });
  });
}

/** errno of the last call on this thread. */
export function lastErrno(): number {
  return koffi.errno();
}

const names = new Map<number, string>(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));

/** `ENOENT` for 2, and so on; `E<number>` when unknown. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `E${errno}`;
}

/** The error of a failed system call: `code` is the errno's name, the message names call and object. */
export function systemError(call: string, subject: string, errno = lastErrno()): VarveError {
  const name = errnoName(errno);
  const kind =
    name === 'ENOSPC' || name === 'EDQUOT' ? 'exhausted' : name === 'ENOENT' ? 'not-found' : 'internal';
  return new VarveError(kind, name, `${call} ${subject}: ${name}`, { subject, data: { errno } });
}
