import type { State } from './state.ts';
import { backupOf } from './open-state.ts';

/** Milliseconds between two copies while something changes: what the loss of the file itself may cost. */
const defaultInterval = 60_000;

/**
 * Keeps a copy of the records beside them, for the day the file is damaged: now, while they change, and at the end.
 * @param onFailure is told why a copy could not be made; the next one is tried all the same.
 */
export function keepBackup(
  state: State,
  path: string,
  onFailure: (error: unknown) => void,
  interval = defaultInterval,
): AsyncDisposable {
  let copied = -1;
  let running: Promise<void> = Promise.resolve();
  const copy = async (): Promise<void> => {
    const { changes } = state;
    if (changes === copied) return;
    await state.backup(backupOf(path)).then(() => {
      copied = changes;
    }, onFailure);
  };
  const next = (): void => {
    running = running.then(copy);
  };
  next();
  const timer = setInterval(next, interval);
  timer.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      next();
      await running;
    },
  };
}
