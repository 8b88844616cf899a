import { KeyedLock, VarveError } from '../base/index.ts';
import type { State } from '../state/index.ts';
import { Container } from './container.ts';
import type { ContainerRecord, ContainerState } from './types.ts';

const schema = {
  room: 'engine',
  migrations: [
    `CREATE TABLE engine_containers (
       id TEXT PRIMARY KEY,
       name TEXT NOT NULL UNIQUE,
       generation INTEGER NOT NULL,
       status TEXT NOT NULL,
       document TEXT NOT NULL
     ) STRICT`,
    'CREATE TABLE engine_settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT',
  ],
};

/** How sure a write must be before it returns. */
export type Durability =
  /** Survives the loss of power. */
  | 'power'
  /** Survives the end of the engine; after a loss of power nothing runs any more, so a state that says so is moot. */
  | 'process';

/** A record is whole when it is the row's own; undefined for a torn or garbled one. */
function parseRecord(id: string, text: string): ContainerRecord | undefined {
  try {
    const record = JSON.parse(text) as ContainerRecord;
    const whole = record.id === id && typeof record.state.status === 'string' && Array.isArray(record.mounts);
    return whole && typeof record.hostConfig === 'object' ? record : undefined;
  } catch {
    return undefined;
  }
}

function intentKey(id: string): string {
  return `making:${id}`;
}

/**
 * The containers: all in memory, each record also in the database, written before the engine acts on it.
 * Look-ups follow Docker: full id, then name, then a unique id prefix.
 */
export class ContainerStore {
  readonly #state: State;
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, Container>();
  readonly #reserved = new Set<string>();
  readonly #locks = new KeyedLock();
  readonly #unreadable = new Map<string, string>();

  constructor(state: State) {
    this.#state = state;
    state.migrate(schema);
    for (const row of state.prepare('SELECT id, name, document FROM engine_containers').all()) {
      const record = parseRecord(String(row['id']), String(row['document']));
      if (record) this.#keep(new Container(record));
      else {
        this.#unreadable.set(String(row['id']), String(row['document']));
        this.#reserved.add(String(row['name']));
      }
    }
  }

  /** Newest first. */
  list(): Container[] {
    return [...this.#byId.values()].sort((a, b) => (a.record.createdAt < b.record.createdAt ? 1 : -1));
  }

  /** Containers whose record cannot be read: their ids, and what is there instead. */
  get unreadable(): ReadonlyMap<string, string> {
    return this.#unreadable;
  }

  /** Drops a record that cannot be read. */
  forget(id: string): void {
    const row = this.#state.prepare('SELECT name FROM engine_containers WHERE id = ?').get(id);
    this.#commit(() => this.#state.prepare('DELETE FROM engine_containers WHERE id = ?').run(id), 'power');
    this.#reserved.delete(String(row?.['name']));
    this.#unreadable.delete(id);
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  nameTaken(name: string): boolean {
    return this.#byName.has(name) || this.#reserved.has(name);
  }

  /** @throws VarveError `not-found`, or `invalid` for a prefix of several ids. */
  resolve(nameOrId: string): Container {
    const exact =
      this.#byId.get(nameOrId) ?? this.#byName.get(nameOrId.startsWith('/') ? nameOrId.slice(1) : nameOrId);
    if (exact) return exact;
    if (/^[0-9a-f]+$/.test(nameOrId)) {
      const matches = [...this.#byId.values()].filter((container) => container.id.startsWith(nameOrId));
      if (matches.length === 1) return matches[0] as Container;
      if (matches.length > 1) {
        throw new VarveError(
          'invalid',
          'AMBIGUOUS_ID',
          `multiple IDs found with provided prefix: ${nameOrId}`,
          { subject: nameOrId },
        );
      }
    }
    throw new VarveError('not-found', 'NO_SUCH_CONTAINER', `No such container: ${nameOrId}`, {
      subject: nameOrId,
    });
  }

  /**
   * Holds a name while its container is being made.
   * @throws VarveError `conflict` in Docker's words.
   */
  reserve(name: string): Disposable {
    const owner = this.#byName.get(name);
    if (owner || this.#reserved.has(name)) {
      throw new VarveError(
        'conflict',
        'NAME_IN_USE',
        `Conflict. The container name "/${name}" is already in use${owner ? ` by container "${owner.id}"` : ''}. You have to remove (or rename) that container to be able to reuse that name.`,
        { subject: name },
      );
    }
    this.#reserved.add(name);
    return { [Symbol.dispose]: () => void this.#reserved.delete(name) };
  }

  /** Records a new container. */
  add(record: ContainerRecord, durability: Durability = 'power'): Container {
    const container = new Container(record);
    this.#commit(() => {
      this.#write(record, durability);
      this.#state.prepare('DELETE FROM engine_settings WHERE key = ?').run(intentKey(record.id));
    }, durability);
    this.#keep(container);
    return container;
  }

  /**
   * Writes down which volumes a container that has no record yet is about to make; the record ends that. An empty list
   * takes it back.
   */
  intendVolumes(id: string, names: readonly string[]): void {
    this.#commit(() => {
      const key = intentKey(id);
      if (names.length === 0) this.#state.prepare('DELETE FROM engine_settings WHERE key = ?').run(key);
      else {
        this.#state
          .prepare('INSERT OR REPLACE INTO engine_settings (key, value) VALUES (?, ?)')
          .run(key, JSON.stringify(names));
      }
    }, 'process');
  }

  /** Volumes of containers that were never finished, by the id that was to be theirs. */
  unfinished(): { readonly id: string; readonly volumes: readonly string[] }[] {
    return this.#state
      .prepare("SELECT key, value FROM engine_settings WHERE key LIKE 'making:%'")
      .all()
      .map((row) => ({
        id: String(row['key']).slice('making:'.length),
        volumes: JSON.parse(String(row['value'])) as string[],
      }));
  }

  /** Replaces parts of the record, in the database and then in memory. */
  update(container: Container, changes: Partial<ContainerRecord>, durability: Durability = 'power'): void {
    const record = { ...container.record, ...changes, generation: container.record.generation + 1 };
    this.#write(record, durability);
    if (record.name !== container.name) {
      this.#byName.delete(container.name);
      this.#byName.set(record.name, container);
    }
    container.record = record;
  }

  /** Replaces parts of the state; enough for one who restarts the engine, not for one who pulls the plug. */
  updateState(container: Container, changes: Partial<ContainerState>): void {
    this.update(container, { state: { ...container.state, ...changes } }, 'process');
  }

  delete(container: Container): void {
    const durability = container.record.hostConfig.AutoRemove ? 'process' : 'power';
    this.#commit(
      () => this.#state.prepare('DELETE FROM engine_containers WHERE id = ?').run(container.id),
      durability,
    );
    this.#byId.delete(container.id);
    this.#byName.delete(container.name);
  }

  /** One change of a container's life at a time. */
  lock<T>(container: Container, task: () => Promise<T>): Promise<T> {
    return this.#locks.run(container.id, task);
  }

  /** A value of the engine itself that outlives it, made once. */
  setting(key: string, make: () => string): string {
    const row = this.#state.prepare('SELECT value FROM engine_settings WHERE key = ?').get(key);
    if (row) return String(row['value']);
    const value = make();
    this.#state.prepare('INSERT INTO engine_settings (key, value) VALUES (?, ?)').run(key, value);
    return value;
  }

  #keep(container: Container): void {
    this.#byId.set(container.id, container);
    this.#byName.set(container.name, container);
  }

  #write(record: ContainerRecord, durability: Durability): void {
    this.#commit(
      () =>
        this.#state
          .prepare(
            'INSERT OR REPLACE INTO engine_containers (id, name, generation, status, document) VALUES (?, ?, ?, ?, ?)',
          )
          .run(record.id, record.name, record.generation, record.state.status, JSON.stringify(record)),
      durability,
    );
  }

  #commit(work: () => unknown, durability: Durability): void {
    this.#state.transaction(work, { durable: durability === 'power' });
  }
}
