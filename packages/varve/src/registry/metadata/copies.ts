import { change, rows, type Steps } from './steps.ts';
import type { Uncopied } from './types.ts';

export function* listUncopied(limit: number): Steps<Uncopied[]> {
  const found = yield* rows(
    `SELECT u.id, u.version, u.kind, u.name, r.name AS repository FROM registry_uncopied u
     JOIN registry_repositories r ON r.id = u.repository_id ORDER BY u.id LIMIT ?1`,
    limit,
  );
  return found.map((one) => ({
    id: Number(one['id']),
    version: Number(one['version']),
    kind: one['kind'] === 'tag' ? 'tag' : 'manifest',
    repository: String(one['repository']),
    name: String(one['name']),
  }));
}

export function* markCopied({ id, version }: Uncopied): Steps<void> {
  yield* change('DELETE FROM registry_uncopied WHERE id = ?1 AND version = ?2', id, version);
}
