import { RegistryError } from '../errors.ts';
import type { Page } from '../metadata/index.ts';

/** A page asked for by `n` and `last`. */
export interface RequestedPage extends Page {
  /** The page is known to be empty: `n=0`. */
  readonly empty: boolean;
}

/**
 * Reads `n` and `last`. An `n` above `maxLimit` gets `maxLimit` and a Link: the server's memory is not the client's to
 * choose (CVE-2023-2253).
 * @throws RegistryError `PAGINATION_NUMBER_INVALID` when `n` is no number
 */
export function readPage(query: URLSearchParams, maxLimit: number): RequestedPage {
  const n = query.get('n');
  const after = query.get('last') ?? undefined;
  if (n === null || n === '') return { limit: maxLimit, after, empty: false };
  if (!/^\d{1,15}$/.test(n)) {
    throw new RegistryError('PAGINATION_NUMBER_INVALID', { detail: { n: n.slice(0, 100) } });
  }
  return { limit: Math.min(Number(n), maxLimit), after, empty: Number(n) === 0 };
}

/** The value of a Link header to the next page (RFC 8288). */
export function nextLink(path: string, query: Readonly<Record<string, string | number>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) search.set(key, String(value));
  return `<${path}?${search.toString()}>; rel="next"`;
}

/**
 * Cuts one more than `limit` items to a page.
 * @returns the items, and whether there are more
 */
export function cutPage<T>(
  items: readonly T[],
  limit: number,
): { readonly items: readonly T[]; readonly more: boolean } {
  return items.length > limit ? { items: items.slice(0, limit), more: true } : { items, more: false };
}
