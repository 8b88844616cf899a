import { join, resolve } from 'node:path';
import { State } from '../state/index.ts';
import type { RegistryConfig } from './config/index.ts';
import { openSqliteRobots, type RobotRecords } from './metadata/index.ts';

/** Robot accounts of a registry that may be serving: what is changed here is seen with its next request. */
export interface Accounts extends AsyncDisposable {
  readonly robots: RobotRecords;
}

/**
 * Opens the robot accounts of a configuration, wherever its records are.
 * @throws VarveError `unavailable` when the records are a newer Varve's, or cannot be reached
 */
export async function openAccounts(config: RegistryConfig): Promise<Accounts> {
  const { postgres } = config.metadata;
  if (postgres) {
    const { PostgresMetadata } = await import('./metadata/postgres/postgres-metadata.ts');
    const metadata = await PostgresMetadata.open(postgres.url, postgres);
    return { robots: metadata.robots, [Symbol.asyncDispose]: () => metadata.close() };
  }
  const state = new State(join(resolve(config.storage.filesystem.rootdirectory), 'registry.db'));
  try {
    const robots = openSqliteRobots(state);
    return { robots, [Symbol.asyncDispose]: () => Promise.resolve(state.close()) };
  } catch (error) {
    state.close();
    throw error;
  }
}
