import { glob, parseBytes } from '../../base/index.ts';
import type { QuotaLimit } from '../metadata/index.ts';

/** One line of `quotas`: each repository that matches, or each namespace, may be billed for so many bytes. */
export type QuotaRule =
  | { readonly repository: string; readonly namespace?: undefined; readonly bytes: string }
  | { readonly namespace: string; readonly repository?: undefined; readonly bytes: string };

/**
 * The limits of a repository: the first rule that matches its name, and for every namespace that it is in (`a` and `a/b` of
 * `a/b/c`) the first rule that matches that.
 */
export function limitsOf(rules: readonly QuotaRule[], repository: string): QuotaLimit[] {
  const limits: QuotaLimit[] = [];
  const own = rules.find(
    (rule) => rule.repository !== undefined && glob(rule.repository).matches(repository),
  );
  if (own) limits.push({ scope: 'repository', name: repository, bytes: parseBytes(own.bytes) });
  for (const namespace of namespacesOf(repository)) {
    const rule = rules.find(
      (item) => item.namespace !== undefined && glob(item.namespace).matches(namespace),
    );
    if (rule) limits.push({ scope: 'namespace', name: namespace, bytes: parseBytes(rule.bytes) });
  }
  return limits;
}

/** `a`, `a/b` and `a/b/c` of `a/b/c`: a namespace holds the repository of its own name, too. */
function namespacesOf(repository: string): string[] {
  const parts = repository.split('/');
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}
