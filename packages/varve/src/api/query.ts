import { VarveError } from '../base/index.ts';
import type { Filters } from '../engine/index.ts';

const falseWords = ['', '0', 'no', 'false', 'none'];

/** The parameters of a request, read as the Docker API reads them. */
export class Query {
  readonly #parameters: URLSearchParams;

  constructor(parameters: URLSearchParams) {
    this.#parameters = parameters;
  }

  /** The value, or an empty string. */
  text(name: string): string {
    return this.#parameters.get(name) ?? '';
  }

  has(name: string): boolean {
    return this.#parameters.has(name);
  }

  all(name: string): string[] {
    return this.#parameters.getAll(name);
  }

  /** "", 0, no, false and none are false, all else is true; `fallback` when the parameter is missing. */
  flag(name: string, fallback = false): boolean {
    const value = this.#parameters.get(name);
    return value === null ? fallback : !falseWords.includes(value.trim().toLowerCase());
  }

  /** A whole number; undefined when missing or empty. @throws VarveError `invalid`. */
  integer(name: string): number | undefined {
    const value = this.text(name);
    if (value === '') return undefined;
    if (/^[+-]?\d{1,18}$/.test(value)) return Number(value);
    throw new VarveError('invalid', 'INVALID_NUMBER', `strconv.Atoi: parsing "${value}": invalid syntax`, {
      subject: name,
    });
  }

  /** A JSON document in a parameter; undefined when missing or empty. @throws VarveError `invalid`. */
  json(name: string): unknown {
    const value = this.text(name);
    if (value === '') return undefined;
    try {
      return JSON.parse(value) as unknown;
    } catch {
      throw new VarveError('invalid', 'INVALID_PARAMETER', `invalid ${name}: not JSON`, { subject: name });
    }
  }

  /** `filters`, as `{"k":{"v":true}}` or the older `{"k":["v"]}`. @throws VarveError `invalid` `invalid filter`. */
  filters(): Filters {
    const text = this.text('filters');
    if (text === '') return {};
    const bad = (): VarveError => new VarveError('invalid', 'INVALID_FILTER', 'invalid filter');
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw bad();
    }
    if (value === null) return {};
    if (typeof value !== 'object' || Array.isArray(value)) throw bad();
    const filters: Record<string, readonly string[]> = Object.create(null) as Record<
      string,
      readonly string[]
    >;
    for (const [key, wanted] of Object.entries(value)) {
      if (Array.isArray(wanted) && wanted.every((item) => typeof item === 'string')) filters[key] = wanted;
      else if (typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted)) {
        filters[key] = Object.entries(wanted)
          .filter(([, on]) => on === true)
          .map(([item]) => item);
      } else throw bad();
    }
    return filters;
  }
}
