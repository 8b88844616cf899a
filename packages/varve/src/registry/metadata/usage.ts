import { formatBinaryBytes } from '../../base/index.ts';
import type { State } from '../../state/index.ts';
import { RegistryError } from '../errors.ts';
import type { Page, QuotaLimit, RepositoryUsage } from './types.ts';

/** What repositories are billed for; the triggers of the schema keep it. */
export class Usage {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  used(scope: QuotaLimit['scope'], name: string): number {
    // Names of a namespace's repositories lie between `name/` and `name0`: `0` is what follows `/`.
    const row =
      scope === 'repository'
        ? this.#state.prepare('SELECT used_bytes AS used FROM registry_repositories WHERE name = ?').get(name)
        : this.#state
            .prepare(
              `SELECT coalesce(sum(used_bytes), 0) AS used FROM registry_repositories
               WHERE name = ?1 OR (name > ?1 || '/' AND name < ?1 || '0')`,
            )
            .get(name);
    return Number(row?.['used'] ?? 0);
  }

  total(): number {
    const row = this.#state.prepare('SELECT sum(used_bytes) AS used FROM registry_repositories').get();
    return Number(row?.['used'] ?? 0);
  }

  list(page: Page): RepositoryUsage[] {
    return this.#state
      .prepare('SELECT name, used_bytes FROM registry_repositories WHERE name > ? ORDER BY name LIMIT ?')
      .all(page.after ?? '', page.limit)
      .map((row) => ({ repository: String(row['name']), bytes: Number(row['used_bytes']) }));
  }

  /**
   * Does a write of a transaction and takes its back-out when it brings more than a limit allows.
   * @throws RegistryError `DENIED` (see {@link overQuota})
   */
  within<T>(limits: readonly QuotaLimit[] | undefined, write: () => T): T {
    if (!limits || limits.length === 0) return write();
    const before = limits.map(({ scope, name }) => this.used(scope, name));
    const result = write();
    for (const [index, limit] of limits.entries()) {
      const was = before[index] ?? 0;
      const used = this.used(limit.scope, limit.name);
      if (used > was && used > limit.bytes) throw overQuota(limit, was, used - was);
    }
    return result;
  }
}

/** The refusal of a push over a quota; docker prints its message after `denied:`. */
export function overQuota(limit: QuotaLimit, used: number, wanted: number): RegistryError {
  const { scope, name, bytes } = limit;
  return new RegistryError('DENIED', {
    message: `quota of ${scope} ${name} exceeded: ${formatBinaryBytes(used)} of ${formatBinaryBytes(bytes)} are used, and this needs ${formatBinaryBytes(wanted)} more`,
    detail: { scope, name, limit: bytes, used, wanted },
  });
}
