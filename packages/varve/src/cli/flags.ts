import { VarveError } from '../base/index.ts';

/** What a flag takes. A `boolean` needs no value (`--rm`, `--rm=false`); a `list` may be given several times. */
export type FlagType = 'boolean' | 'string' | 'list' | 'number';

/** One flag of a command, as shown in its help. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly type: FlagType;
  /** Word for the value in the help; the type's own when absent. */
  readonly value?: string;
  readonly description: string;
  readonly default?: string | number | boolean;
  readonly choices?: readonly string[];
  /** Accepted, and not shown. */
  readonly hidden?: boolean;
}

/** Values of the flags that were given or have a default. */
export class FlagValues {
  readonly #values = new Map<string, string | number | boolean | readonly string[]>();
  readonly #given = new Set<string>();

  set(name: string, value: string | number | boolean | readonly string[], given: boolean): void {
    this.#values.set(name, value);
    if (given) this.#given.add(name);
  }

  /** True when the flag stood on the command line. */
  given(name: string): boolean {
    return this.#given.has(name);
  }

  boolean(name: string): boolean {
    return this.#values.get(name) === true;
  }

  string(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  number(name: string): number | undefined {
    const value = this.#values.get(name);
    return typeof value === 'number' ? value : undefined;
  }

  list(name: string): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? (value as readonly string[]) : [];
  }
}

export interface ParsedArguments {
  readonly flags: FlagValues;
  readonly arguments: readonly string[];
}

/** A command line that does not parse. */
function usage(message: string): VarveError {
  return new VarveError('invalid', 'FLAG', message);
}

const truths: Readonly<Record<string, boolean>> = {
  1: true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  0: false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

function convert(flag: Flag, text: string, shown: string): string | number | boolean {
  const bad = (why: string): VarveError =>
    usage(`invalid argument ${JSON.stringify(text)} for "${shown}" flag: ${why}`);
  if (flag.type === 'boolean') {
    const value = truths[text];
    if (value === undefined) throw bad(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
    return value;
  }
  if (flag.type === 'number') {
    if (!/^[-+]?\d+(\.\d+)?$/.test(text))
      throw bad(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    return Number(text);
  }
  if (flag.choices && !flag.choices.includes(text)) throw bad(`must be one of ${flag.choices.join(', ')}`);
  return text;
}

/**
 * Reads a command line as Docker's clients do (spf13/pflag): `-it`, `-p80:80`, `-e A=1`, `--env=A=1`, `--rm=false`,
 * `--` ends the flags.
 * @param options.interspersed false stops at the first word that is no flag (`run`, `exec`).
 * @param options.usage is put after the message of an error.
 * @throws VarveError `invalid`, code `FLAG`, in Docker's words.
 */
export function parseFlags(
  flags: readonly Flag[],
  words: readonly string[],
  options: { readonly interspersed?: boolean; readonly usage?: string } = {},
): ParsedArguments {
  try {
    return parse(flags, words, options.interspersed ?? true);
  } catch (error) {
    if (options.usage === undefined || !VarveError.is(error)) throw error;
    throw usage(error.message + options.usage);
  }
}

function parse(flags: readonly Flag[], words: readonly string[], interspersed: boolean): ParsedArguments {
  const byName = new Map(flags.map((flag) => [flag.name, flag]));
  const byShort = new Map(
    flags.flatMap((flag) => (flag.short === undefined ? [] : [[flag.short, flag] as const])),
  );
  const values = new FlagValues();
  for (const flag of flags) if (flag.default !== undefined) values.set(flag.name, flag.default, false);
  const lists = new Map<string, string[]>();
  const rest: string[] = [];

  const store = (flag: Flag, text: string, shown: string): void => {
    if (flag.type === 'list') {
      const list = lists.get(flag.name) ?? [];
      list.push(convert(flag, text, shown) as string);
      lists.set(flag.name, list);
      values.set(flag.name, list, true);
    } else values.set(flag.name, convert(flag, text, shown), true);
  };

  for (let index = 0; index < words.length; index++) {
    const word = words[index] as string;
    if (word === '--') {
      rest.push(...words.slice(index + 1));
      break;
    }
    if (word.length < 2 || !word.startsWith('-')) {
      rest.push(word);
      if (!interspersed) {
        rest.push(...words.slice(index + 1));
        break;
      }
      continue;
    }
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals === -1 ? word.slice(2) : word.slice(2, equals);
      const flag = byName.get(name);
      if (!flag) throw usage(`unknown flag: --${name}`);
      if (equals !== -1) store(flag, word.slice(equals + 1), shownName(flag));
      else if (flag.type === 'boolean') values.set(flag.name, true, true);
      else if (index + 1 < words.length) store(flag, words[++index] as string, shownName(flag));
      else throw usage(`flag needs an argument: --${name}`);
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word[at] as string;
      const flag = byShort.get(letter);
      if (!flag) throw usage(`unknown shorthand flag: '${letter}' in ${word}`);
      if (flag.type === 'boolean') {
        if (word[at + 1] === '=') {
          store(flag, word.slice(at + 2), shownName(flag));
          break;
        }
        values.set(flag.name, true, true);
        continue;
      }
      const attached = word.slice(at + 1).replace(/^=/, '');
      if (attached !== '') store(flag, attached, shownName(flag));
      else if (index + 1 < words.length) store(flag, words[++index] as string, shownName(flag));
      else throw usage(`flag needs an argument: '${letter}' in ${word}`);
      break;
    }
  }
  return { flags: values, arguments: rest };
}

function shownName(flag: Flag): string {
  return flag.short === undefined ? `--${flag.name}` : `-${flag.short}, --${flag.name}`;
}
