import { readRobot } from '../robots.ts';
import type { RobotRecord, RobotRecords } from '../types.ts';
import type { Database } from './database.ts';

/** Robot accounts in PostgreSQL. */
export class PostgresRobots implements RobotRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async add(robot: RobotRecord): Promise<boolean> {
    const added = await this.#database.run(
      `INSERT INTO registry_robots (name, secret_hash, grants, description, created_at, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
      [
        robot.name,
        robot.secretHash,
        JSON.stringify(robot.grants),
        robot.description ?? null,
        robot.createdAt,
        robot.expiresAt ?? null,
      ],
    );
    return added > 0;
  }

  async find(name: string): Promise<RobotRecord | undefined> {
    const [row] = await this.#database.rows('SELECT * FROM registry_robots WHERE name = $1', [name]);
    return row && readRobot(row);
  }

  async list(): Promise<RobotRecord[]> {
    return (await this.#database.rows('SELECT * FROM registry_robots ORDER BY name')).map(readRobot);
  }

  async remove(name: string): Promise<boolean> {
    return (await this.#database.run('DELETE FROM registry_robots WHERE name = $1', [name])) > 0;
  }
}
