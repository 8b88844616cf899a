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

function parseRecord(row: Readonly<Record<string, unknown>>): VolumeRecord | undefined {
  try {
    const record = JSON.parse(String(row['record'])) as VolumeRecord;
    return record.name === row['name'] && typeof record.options === 'object' ? record : undefined;
  } catch {
    return undefined;
  }
}

/** A volume of which only the name is known. */
function bare(name: string): VolumeRecord {
  return {
    name,
    driver: 'local',
    labels: {},
    options: {},
    createdAt: new Date(0).toISOString(),
    anonymous: false,
  };
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
      .prepare('SELECT name, record FROM volume_volumes ORDER BY name')
      .all()
      .map((row) => parseRecord(row) ?? bare(String(row['name'])));
  }

  get(name: string): VolumeRecord | undefined {
    const row = this.#state.prepare('SELECT name, record FROM volume_volumes WHERE name = ?').get(name);
    return row && (parseRecord(row) ?? bare(name));
  }

  /** Names of the volumes whose record cannot be read; they are kept, with nothing but their name known. */
  unreadable(): string[] {
    return this.#state
      .prepare('SELECT name, record FROM volume_volumes')
      .all()
      .filter((row) => parseRecord(row) === undefined)
      .map((row) => String(row['name']));
  }

  /** Writes down as much as is known of a volume whose record cannot be read. */
  rewrite(name: string): void {
    this.#state
      .prepare('UPDATE volume_volumes SET record = ? WHERE name = ?')
      .run(JSON.stringify(bare(name)), name);
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
