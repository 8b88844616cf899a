import { EngineError } from '@varve/client';
import { VarveError } from '../base/index.ts';

/**
 * An error as Docker's client words it: what the engine refused begins with `Error response from daemon:`, what the
 * system refused names the call and the path.
 */
export function errorText(error: unknown): string {
  if (EngineError.is(error)) {
    const isPlain = error.status === 0 || error.exitCode !== undefined;
    return isPlain ? error.message : `Error response from daemon: ${error.message}`;
  }
  const { code, syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  if (error instanceof Error && code !== undefined && syscall !== undefined && path !== undefined) {
    const reason = error.message.replace(/^[A-Z0-9]+: /, '').replace(/, \w+ .*$/s, '');
    return `${syscall} ${path}: ${reason}`;
  }
  return VarveError.from(error).message;
}
