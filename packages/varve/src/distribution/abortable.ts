import { throwIfAborted } from '../base/index.ts';

/**
 * Waits for work that others wait for too: the signal ends this wait, not the work.
 * @throws VarveError `cancelled` when the signal fires first.
 */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  // Nobody may be left to see it fail.
  work.catch(() => undefined);
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = (): void => aborted.resolve(undefined);
  signal.addEventListener('abort', onAbort);
  try {
    throwIfAborted(signal);
    const result = await Promise.race([work.then((value) => ({ value })), aborted.promise]);
    if (result === undefined) throwIfAborted(signal);
    return result === undefined ? await work : result.value;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
