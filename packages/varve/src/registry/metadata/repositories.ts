import { names, row, type Steps } from './steps.ts';
import type { Page } from './types.ts';

const maxCachedIds = 10_000;

/** Names of repositories and their ids. A repository comes into being with its first blob or manifest, and stays. */
export class Repositories {
  // Names repeat with every request; the ids never change.
  readonly #ids = new Map<string, number>();

  /** For reads only: what a write finds may be undone, and must not be remembered. */
  *id(name: string): Steps<number | undefined> {
    const id = yield* this.idInWrite(name);
    if (id !== undefined) {
      if (this.#ids.size >= maxCachedIds) this.#ids.clear();
      this.#ids.set(name, id);
    }
    return id;
  }

  *idInWrite(name: string): Steps<number | undefined> {
    const cached = this.#ids.get(name);
    if (cached !== undefined) return cached;
    const found = yield* row('SELECT id FROM registry_repositories WHERE name = ?1', name);
    return found && Number(found['id']);
  }

  *idOrCreate(name: string): Steps<number> {
    const known = yield* this.idInWrite(name);
    if (known !== undefined) return known;
    const made = yield* row(
      'INSERT INTO registry_repositories (name, created_at) VALUES (?1, ?2) RETURNING id',
      name,
      Date.now(),
    );
    return Number(made?.['id']);
  }
}

export function* listRepositories(page: Page): Steps<string[]> {
  return yield* names(
    'SELECT name FROM registry_repositories WHERE name > ?1 ORDER BY name LIMIT ?2',
    page.after ?? '',
    page.limit,
  );
}
