import { VarveError } from '../base/index.ts';
import type { Filters } from './types.ts';

/**
 * Refuses filters a list does not know.
 * @throws VarveError `invalid` as dockerd says it: `invalid filter 'bogus'`.
 */
export function checkFilters(filters: Filters, allowed: readonly string[]): void {
  for (const key of Object.keys(filters)) {
    if (!allowed.includes(key)) throw invalidFilter(key);
  }
}

/** @param key the filter; @param value the value that it cannot take, when the key itself is known. */
export function invalidFilter(key: string, value?: string): VarveError {
  return new VarveError(
    'invalid',
    'INVALID_FILTER',
    value === undefined ? `invalid filter '${key}'` : `invalid filter '${key}=${value}'`,
  );
}

/** True when the key is not asked for, or one of its values passes `test`. */
export function anyMatch(filters: Filters, key: string, test: (value: string) => boolean): boolean {
  const values = filters[key];
  return values === undefined || values.length === 0 || values.some(test);
}

/** Every `label` must be there (`key` or `key=value`), and no `label!`. */
export function labelsMatch(filters: Filters, labels: Readonly<Record<string, string>> | undefined): boolean {
  const has = (wanted: string): boolean => {
    const equals = wanted.indexOf('=');
    if (equals < 0) return labels !== undefined && Object.hasOwn(labels, wanted);
    return labels?.[wanted.slice(0, equals)] === wanted.slice(equals + 1);
  };
  return (filters['label'] ?? []).every(has) && (filters['label!'] ?? []).every((unwanted) => !has(unwanted));
}

/** Docker's name filters: a substring or a regular expression, against the name as it is. */
export function nameMatches(pattern: string, name: string): boolean {
  if (name.includes(pattern)) return true;
  if (pattern.length > 200) return false;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    throw invalidFilter('name', pattern);
  }
}

/**
 * A filter that can only be true or false, `undefined` when it is not asked for.
 * @throws VarveError `invalid` for other values or both.
 */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters[key];
  if (values === undefined || values.length === 0) return undefined;
  const parsed = new Set(
    values.map((value) => {
      if (value === 'true' || value === '1') return true;
      if (value === 'false' || value === '0') return false;
      throw invalidFilter(key, value);
    }),
  );
  if (parsed.size > 1) throw invalidFilter(key, values.join(','));
  return parsed.has(true);
}
