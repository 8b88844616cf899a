import { formatBinaryBytes } from '../../base/index.ts';
import { RegistryError } from '../errors.ts';
import { row, rows, type Steps } from './steps.ts';
import type { Page, QuotaLimit, RepositoryUsage } from './types.ts';

/** What a repository or a namespace is billed for; the triggers of the schema keep it. */
export function* usedBytes(scope: QuotaLimit['scope'], name: string): Steps<number> {
  // Names of a namespace's repositories lie between `name/` and `name0`: `0` is what follows `/`.
  const found = yield* row(
    scope === 'repository'
      ? 'SELECT used_bytes AS used FROM registry_repositories WHERE name = ?1'
      : `SELECT coalesce(sum(used_bytes), 0) AS used FROM registry_repositories
         WHERE name = ?1 OR (name > ?1 || '/' AND name < ?1 || '0')`,
    name,
  );
  return Number(found?.['used'] ?? 0);
}

export function* totalBytes(): Steps<number> {
  const found = yield* row('SELECT sum(used_bytes) AS used FROM registry_repositories');
  return Number(found?.['used'] ?? 0);
}

export function* listUsages(page: Page): Steps<RepositoryUsage[]> {
  const found = yield* rows(
    'SELECT name, used_bytes FROM registry_repositories WHERE name > ?1 ORDER BY name LIMIT ?2',
    page.after ?? '',
    page.limit,
  );
  return found.map((one) => ({ repository: String(one['name']), bytes: Number(one['used_bytes']) }));
}

/**
 * Does a write of a transaction and takes it back out when it brings more than a limit allows.
 * @throws RegistryError `DENIED` (see {@link overQuota})
 */
export function* within(limits: readonly QuotaLimit[] | undefined, write: Steps<void>): Steps<void> {
  const before: number[] = [];
  for (const { scope, name } of limits ?? []) before.push(yield* usedBytes(scope, name));
  yield* write;
  for (const [index, limit] of (limits ?? []).entries()) {
    const was = before[index] ?? 0;
    const used = yield* usedBytes(limit.scope, limit.name);
    if (used > was && used > limit.bytes) throw overQuota(limit, was, used - was);
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
