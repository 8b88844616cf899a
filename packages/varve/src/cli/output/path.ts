import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { VarveError } from '../../base/index.ts';
import { errorText } from '../error-text.ts';

/** Refuses a file whose folder is not there, before anything is asked of the engine. @throws VarveError `invalid`. */
export function checkOutput(path: string, what: string): void {
  try {
    statSync(dirname(path));
  } catch (error) {
    throw new VarveError('invalid', 'OUTPUT_PATH', `${what}: invalid output path: ${errorText(error)}`, {
      subject: path,
      cause: error,
    });
  }
}
