import { parseDuration, VarveError } from '../base/index.ts';
import { invalidFilter } from './filters.ts';
import type { Filters } from './types.ts';

/**
 * A time as Docker's API takes it: seconds since 1970 (`1700000000.5`), RFC 3339 (`2026-01-02T03:04:05`, zone and
 * parts optional), or a duration back from now (`10m`). @returns milliseconds since 1970.
 * @throws VarveError `invalid`.
 */
export function parseTime(text: string): number {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = /^(\d{4}-\d{2}-\d{2})(T\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?)?(Z|[+-]\d{2}:\d{2})?$/.exec(
    text,
  );
  if (date) {
    const clock = date[2] === undefined ? 'T00:00' : date[2].length === 3 ? `${date[2]}:00` : date[2];
    const milliseconds = Date.parse(`${date[1]}${clock}${date[3] ?? ''}`);
    if (!Number.isNaN(milliseconds)) return milliseconds;
  }
  try {
    return Date.now() - parseDuration(text) / 1e6;
  } catch {
    throw new VarveError('invalid', 'INVALID_TIME', `failed to parse value as time or duration: ${text}`, {
      subject: text,
    });
  }
}

/** The `until` filter of a prune, milliseconds since 1970. @throws VarveError `invalid` for more than one. */
export function pruneTime(filters: Filters): number | undefined {
  const values = filters['until'] ?? [];
  if (values.length > 1) throw invalidFilter('until', values.join(','));
  return values[0] === undefined ? undefined : parseTime(values[0]);
}
