import { syntaxError } from './errors.ts';
import type { KeyValue } from './types.ts';

/** Splits at blanks; nothing is quoted. */
export function splitBlanks(text: string): string[] {
  return text.split(/[\t\v\f\r ]+/).filter((word) => word !== '');
}

/** Splits at white space outside quotes; quotes and escapes stay in the words, to be taken away by the expansion. */
export function splitQuoted(text: string, escape: string): string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  let started = false;
  const chars = Array.from(text);
  for (let index = 0; index < chars.length; index++) {
    const char = chars[index] as string;
    if (quote === '' && /\s/u.test(char)) {
      if (started) words.push(word);
      word = '';
      started = false;
      continue;
    }
    if (char === escape && quote !== "'") {
      const next = chars[index + 1];
      // An escape at the very end is dropped.
      if (next === undefined) break;
      word += char + next;
      started = true;
      index++;
      continue;
    }
    started = true;
    word += char;
    if (quote !== '' && char === quote) quote = '';
    else if (quote === '' && (char === "'" || char === '"')) quote = char;
  }
  if (started) words.push(word);
  return words;
}

/**
 * Reads the exec form.
 * @returns undefined when the text is not a JSON array, so that it is the shell form.
 * @throws VarveError when it is an array of anything but strings.
 */
export function parseJsonArray(text: string): string[] | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(trimmed);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const items: string[] = [];
  for (const item of value) {
    if (typeof item !== 'string') {
      throw syntaxError('when using JSON array syntax, arrays must be comprised of strings only');
    }
    items.push(item);
  }
  return items;
}

/**
 * Takes the flags (`--name=value` words) off the front of an instruction's arguments; `--` ends them. Quotes and
 * backslashes in a flag are resolved, as BuildKit does.
 */
export function takeFlags(text: string): { readonly flags: readonly string[]; readonly rest: string } {
  const flags: string[] = [];
  let rest = text.trimStart();
  while (rest.startsWith('--')) {
    let word = '';
    let quote = '';
    let index = 0;
    for (; index < rest.length; index++) {
      const char = rest[index] as string;
      if (quote === '' && /\s/u.test(char)) break;
      if (char === '\\') {
        word += rest[++index] ?? '';
      } else if (char === quote) {
        quote = '';
      } else if (quote === '' && (char === "'" || char === '"')) {
        quote = char;
      } else {
        word += char;
      }
    }
    rest = rest.slice(index).trimStart();
    if (word === '--') break;
    flags.push(word);
  }
  return { flags, rest: rest.trimEnd() };
}

/**
 * The pairs of ENV and LABEL: `k=v k2="v 2"`, or the old form `k rest of the line`.
 * @throws VarveError in Docker's words.
 */
export function parsePairs(
  instruction: string,
  text: string,
  escape: string,
): { readonly pairs: readonly KeyValue[]; readonly legacy: boolean } {
  const words = splitQuoted(text, escape);
  const first = words[0];
  if (first === undefined) throw syntaxError(`${instruction} requires at least one argument`);
  if (!first.includes('=')) {
    const match = /^([^\t\v\f\r ]+)[\t\v\f\r ]+([^]*)$/.exec(text);
    if (!match) throw syntaxError(`${instruction} must have two arguments`);
    return { pairs: [{ key: match[1] as string, value: match[2] as string }], legacy: true };
  }
  const pairs = words.map((word) => {
    const at = word.indexOf('=');
    if (at < 0) {
      throw syntaxError(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    }
    if (at === 0) throw syntaxError(`${instruction} names can not be blank`);
    return { key: word.slice(0, at), value: word.slice(at + 1) };
  });
  return { pairs, legacy: false };
}
