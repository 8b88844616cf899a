import type { Schema, State } from '../../state/index.ts';
import { textOf } from './rows.ts';
import type { RobotGrant, RobotRecord, RobotRecords } from './types.ts';

/** Accounts are a schema of their own: they are no part of what storage can rebuild. */
export const accountsSchema: Schema = {
  room: 'registry_accounts',
  migrations: [
    `
    CREATE TABLE registry_robots (
      name TEXT PRIMARY KEY,
      secret_hash TEXT NOT NULL,
      grants TEXT NOT NULL,
      description TEXT,
      created_at INTEGER NOT NULL,
      expires_at INTEGER
    ) STRICT, WITHOUT ROWID;
    `,
  ],
};

/** Robot accounts in SQLite. */
export class SqliteRobots implements RobotRecords {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
    state.migrate(accountsSchema);
  }

  add(robot: RobotRecord): boolean {
    const { changes } = this.#state.transaction(() =>
      this.#state
        .prepare(
          `INSERT INTO registry_robots (name, secret_hash, grants, description, created_at, expires_at)
           VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        )
        .run(
          robot.name,
          robot.secretHash,
          JSON.stringify(robot.grants),
          robot.description ?? null,
          robot.createdAt,
          robot.expiresAt ?? null,
        ),
    );
    return Number(changes) > 0;
  }

  find(name: string): RobotRecord | undefined {
    const row = this.#state.prepare('SELECT * FROM registry_robots WHERE name = ?').get(name);
    return row && readRobot(row);
  }

  list(): RobotRecord[] {
    return this.#state.prepare('SELECT * FROM registry_robots ORDER BY name').all().map(readRobot);
  }

  remove(name: string): boolean {
    const { changes } = this.#state.transaction(() =>
      this.#state.prepare('DELETE FROM registry_robots WHERE name = ?').run(name),
    );
    return Number(changes) > 0;
  }
}

/** The account of a row. */
export function readRobot(row: Readonly<Record<string, unknown>>): RobotRecord {
  return {
    name: String(row['name']),
    secretHash: String(row['secret_hash']),
    grants: JSON.parse(String(row['grants'])) as RobotGrant[],
    description: textOf(row, 'description'),
    createdAt: Number(row['created_at']),
    expiresAt: row['expires_at'] === null ? undefined : Number(row['expires_at']),
  };
}
