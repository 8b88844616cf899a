import { syntaxError } from './errors.ts';
import { didYouMean } from './suggest.ts';

export type FlagKind = 'string' | 'boolean' | 'list';

/** Flags of one instruction as given. */
export class Flags {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /** Value of a string flag; undefined when absent. */
  string(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  /** Value of a boolean flag; undefined when absent. */
  boolean(name: string): boolean | undefined {
    const value = this.#values.get(name)?.[0];
    return value === undefined ? undefined : value === 'true';
  }

  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
}

/**
 * Checks an instruction's flags against its table.
 * @throws VarveError in BuildKit's words: `unknown flag: --form (did you mean from?)`.
 */
export function readFlags(table: Readonly<Record<string, FlagKind>>, given: readonly string[]): Flags {
  const values = new Map<string, string[]>();
  for (const flag of given) {
    const match = /^--([^=]*)(?:=([^]*))?$/.exec(flag);
    const name = match?.[1] ?? '';
    const kind = Object.hasOwn(table, name) ? table[name] : undefined;
    if (kind === undefined) {
      throw syntaxError(`unknown flag: --${name}${didYouMean(name, Object.keys(table))}`);
    }
    let value = match?.[2];
    if (kind === 'boolean') {
      value = (value ?? 'true').toLowerCase();
      if (value !== 'true' && value !== 'false') {
        throw syntaxError(`expecting boolean value for flag --${name}, not: ${value}`);
      }
    }
    if (value === undefined) throw syntaxError(`missing a value on flag: --${name}`);
    const before = values.get(name);
    if (before && kind !== 'list') throw syntaxError(`duplicate flag specified: --${name}`);
    values.set(name, [...(before ?? []), value]);
  }
  return new Flags(values);
}
