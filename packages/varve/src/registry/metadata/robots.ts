import type { Schema, State } from '../../state/index.ts';
import { type Row, textOf } from './rows.ts';
import { SqliteRecords } from './sqlite-records.ts';
import { change, type Records, row, rows, type Steps } from './steps.ts';
import type { Awaitable, RobotGrant, RobotRecord, RobotRecords } from './types.ts';

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
    `
    CREATE TABLE registry_logouts (
      session TEXT PRIMARY KEY,
      expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX registry_logouts_expiry ON registry_logouts (expires_at);
    `,
  ],
};

/** The robot accounts in SQLite, by themselves. */
export function openSqliteRobots(state: State): RobotRecords {
  state.migrate(accountsSchema);
  return new Robots(new SqliteRecords(state));
}

/** {@link RobotRecords} in SQL. */
export class Robots implements RobotRecords {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  async add(robot: RobotRecord): Promise<boolean> {
    const added = await this.#records.write(() =>
      change(
        `INSERT INTO registry_robots (name, secret_hash, grants, description, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING`,
        robot.name,
        robot.secretHash,
        JSON.stringify(robot.grants),
        robot.description ?? null,
        robot.createdAt,
        robot.expiresAt ?? null,
      ),
    );
    return added > 0;
  }

  find(name: string): Awaitable<RobotRecord | undefined> {
    return this.#records.read(findRobot(name));
  }

  list(): Awaitable<RobotRecord[]> {
    return this.#records.read(allRobots());
  }

  async remove(name: string): Promise<boolean> {
    const removed = await this.#records.write(() =>
      change('DELETE FROM registry_robots WHERE name = ?1', name),
    );
    return removed > 0;
  }
}

function* findRobot(name: string): Steps<RobotRecord | undefined> {
  const found = yield* row('SELECT * FROM registry_robots WHERE name = ?1', name);
  return found && robotOfRow(found);
}

function* allRobots(): Steps<RobotRecord[]> {
  return (yield* rows('SELECT * FROM registry_robots ORDER BY name')).map(robotOfRow);
}

function robotOfRow(found: Row): RobotRecord {
  return {
    name: String(found['name']),
    secretHash: String(found['secret_hash']),
    grants: JSON.parse(String(found['grants'])) as RobotGrant[],
    description: textOf(found, 'description'),
    createdAt: Number(found['created_at']),
    expiresAt: found['expires_at'] === null ? undefined : Number(found['expires_at']),
  };
}
