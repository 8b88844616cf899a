import { join, resolve } from 'node:path';
import { State } from '../state/index.ts';
import type { RegistryConfig } from './config/index.ts';
import { type RobotRecords, SqliteRobots } from './metadata/index.ts';

/** Robot accounts of a registry that may be serving: what is changed here is seen with its next request. */
export interface Accounts extends Disposable {
  readonly robots: RobotRecords;
}

/** Opens the robot accounts of a configuration. @throws VarveError `unavailable` when the records are a newer Varve's */
export function openAccounts(config: RegistryConfig): Accounts {
  const state = new State(join(resolve(config.storage.filesystem.rootdirectory), 'registry.db'));
  try {
    return { robots: new SqliteRobots(state), [Symbol.dispose]: () => state.close() };
  } catch (error) {
    state.close();
    throw error;
  }
}
