import type { State } from '../../state/index.ts';
import type { Page } from './types.ts';

const maxCachedIds = 10_000;

/** Names of repositories and their ids. A repository comes into being with its first blob or manifest. */
export class Repositories {
  readonly #state: State;
  // Names repeat with every request; the ids never change.
  readonly #ids = new Map<string, number>();

  constructor(state: State) {
    this.#state = state;
  }

  id(name: string): number | undefined {
    const cached = this.#ids.get(name);
    if (cached !== undefined) return cached;
    const row = this.#state.prepare('SELECT id FROM registry_repositories WHERE name = ?').get(name);
    if (!row) return undefined;
    const id = Number(row['id']);
    if (this.#ids.size >= maxCachedIds) this.#ids.clear();
    this.#ids.set(name, id);
    return id;
  }

  /** Within a transaction that may roll back, so the id is not remembered here. */
  idOrCreate(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    this.#state
      .prepare('INSERT INTO registry_repositories (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING')
      .run(name, Date.now());
    return Number(
      this.#state.prepare('SELECT id FROM registry_repositories WHERE name = ?').get(name)?.['id'],
    );
  }

  /** Empties the memory, after a commit that failed. */
  forget(): void {
    this.#ids.clear();
  }

  list(page: Page): string[] {
    return this.#state
      .prepare('SELECT name FROM registry_repositories WHERE name > ? ORDER BY name LIMIT ?')
      .all(page.after ?? '', page.limit)
      .map((row) => String(row['name']));
  }
}
