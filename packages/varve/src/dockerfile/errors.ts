import { VarveError } from '../base/index.ts';
import type { SourceRange } from './types.ts';

/** A fault in a Dockerfile: `dockerfile parse error on line 3: …`, with `data.line` and `data.endLine`. */
export function parseError(range: SourceRange, message: string, cause?: unknown): VarveError {
  return new VarveError(
    'invalid',
    'DOCKERFILE_INVALID',
    `dockerfile parse error on line ${range.startLine}: ${message}`,
    { data: { line: range.startLine, endLine: range.endLine }, ...(cause === undefined ? {} : { cause }) },
  );
}

/** A fault in one piece of text whose line the caller knows: give it to {@link locate}. */
export function syntaxError(message: string): VarveError {
  return new VarveError('invalid', 'DOCKERFILE_SYNTAX', message);
}

/** Runs `work` and puts the line on a {@link syntaxError} that it throws. */
export function locate<T>(range: SourceRange, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (VarveError.is(error) && error.data?.['line'] === undefined) {
      throw parseError(range, error.message, error);
    }
    throw error;
  }
}
