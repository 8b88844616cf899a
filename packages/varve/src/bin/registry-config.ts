import { readFileSync } from 'node:fs';
import { VarveError } from '../base/index.ts';

/** The text of a configuration file. @throws VarveError `not-found` (`CONFIG_UNREADABLE`) */
export function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VarveError(
      'not-found',
      'CONFIG_UNREADABLE',
      `cannot read ${path}: ${(error as Error).message}`,
      { subject: path, cause: error },
    );
  }
}
