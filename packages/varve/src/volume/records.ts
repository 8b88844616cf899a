import type { Schema, State } from '../state/index.ts';

const schema: Schema = {
  room: 'volume',
  migrations: [
    `CREATE TABLE volume_volumes (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
     CREATE TABLE volume_users (
       name TEXT NOT NULL REFERENCES volume_volumes (name) ON DELETE CASCADE,
       container_id TEXT NOT NULL,
       PRIMARY KEY (name, container_id)
     ) STRICT;`,
  ],
};

/** A volume as stored; where it is follows from the data root. */
export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly anonymous: boolean;
}

/** Volumes and the containers that have them mounted, as durable rows. */
export class VolumeRecords {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
    state.migrate(schema);
  }

  list(): VolumeRecord[] {
    return this.#state
      .prepare('SELECT record FROM volume_volumes ORDER BY name')
      .all()
      .map((row): VolumeRecord => JSON.parse(String(row['record'])));
  }

  get(name: string): VolumeRecord | undefined {
    const row = this.#state.prepare('SELECT record FROM volume_volumes WHERE name = ?').get(name);
    return row === undefined ? undefined : JSON.parse(String(row['record']));
  }

  add(record: VolumeRecord): void {
    this.#state
      .prepare('INSERT INTO volume_volumes (name, record) VALUES (?, ?)')
      .run(record.name, JSON.stringify(record));
  }

  remove(name: string): void {
    this.#state.prepare('DELETE FROM volume_volumes WHERE name = ?').run(name);
  }

  users(name: string): string[] {
    return this.#state
      .prepare('SELECT container_id FROM volume_users WHERE name = ? ORDER BY rowid')
      .all(name)
      .map((row) => String(row['container_id']));
  }

  addUser(name: string, containerId: string): void {
    this.#state
      .prepare('INSERT OR IGNORE INTO volume_users (name, container_id) VALUES (?, ?)')
      .run(name, containerId);
  }

  removeUser(name: string, containerId: string): void {
    this.#state
      .prepare('DELETE FROM volume_users WHERE name = ? AND container_id = ?')
      .run(name, containerId);
  }
}
