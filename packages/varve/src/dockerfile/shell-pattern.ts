import { syntaxError } from './errors.ts';

/**
 * A glob as `${v#…}`, `${v%…}` and `${v/…/…}` take it: `*`, `?` and `\` only, no brackets. POSIX shell 2.13 without
 * bracket expressions. Matching is linear in pattern times text, so a hostile pattern cannot hang the parser.
 */
type Token =
  | { readonly kind: 'star' }
  | { readonly kind: 'any' }
  | { readonly kind: 'char'; readonly char: string };

function compile(pattern: string): Token[] {
  const tokens: Token[] = [];
  const chars = Array.from(pattern);
  for (let index = 0; index < chars.length; index++) {
    const char = chars[index] as string;
    if (char === '*') tokens.push({ kind: 'star' });
    else if (char === '?') tokens.push({ kind: 'any' });
    else if (char !== '\\') tokens.push({ kind: 'char', char });
    else {
      const next = chars[index + 1];
      // `}` and `/` are escaped for the sake of `${…}`; the escape is no part of the pattern.
      if (next === '}' || next === '/') continue;
      if (next !== '*' && next !== '?' && next !== '\\') {
        throw syntaxError(`invalid pattern (${pattern}) in substitution: invalid escape '\\${next ?? ''}'`);
      }
      tokens.push({ kind: 'char', char: next });
      index++;
    }
  }
  return tokens;
}

/** Where a match that starts at `start` can end: the shortest and the longest, or undefined. */
function ends(
  tokens: readonly Token[],
  text: readonly string[],
  start: number,
): [number, number] | undefined {
  let states = new Set<number>([0]);
  let first: number | undefined;
  let last = -1;
  for (let position = start; ; position++) {
    const open = new Set<number>();
    for (const state of states) {
      let at = state;
      open.add(at);
      while (tokens[at]?.kind === 'star') open.add(++at);
    }
    if (open.has(tokens.length)) {
      first ??= position;
      last = position;
    }
    const char = text[position];
    if (char === undefined || open.size === 0) break;
    states = new Set();
    for (const state of open) {
      const token = tokens[state];
      if (token === undefined) continue;
      if (token.kind === 'char' ? token.char === char : char !== '\n') {
        states.add(token.kind === 'star' ? state : state + 1);
      }
    }
  }
  return first === undefined ? undefined : [first, last];
}

/** `${value#pattern}` (shortest) and `${value##pattern}` (longest). */
export function trimPrefix(value: string, pattern: string, longest: boolean): string {
  const text = Array.from(value);
  const found = ends(compile(pattern), text, 0);
  return found ? text.slice(longest ? found[1] : found[0]).join('') : value;
}

/** `${value%pattern}` (shortest) and `${value%%pattern}` (longest). */
export function trimSuffix(value: string, pattern: string, longest: boolean): string {
  const text = Array.from(value).reverse();
  const found = ends(compile(pattern).reverse(), text, 0);
  if (!found) return value;
  return text
    .slice(longest ? found[1] : found[0])
    .reverse()
    .join('');
}

/** `${value/pattern/replacement}` and, with `all`, `${value//pattern/replacement}`; the longest match at the leftmost place. */
export function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  const tokens = compile(pattern);
  const text = Array.from(value);
  let result = '';
  let previousEnd = -1;
  for (let position = 0; position <= text.length; ) {
    const found = ends(tokens, text, position);
    const end = found?.[1] ?? -1;
    // An empty match right behind the last one is no new match (Go regexp ReplaceAll).
    if (end > position || (end === position && position !== previousEnd)) {
      result += replacement;
      previousEnd = end;
      if (!all) return result + text.slice(end).join('');
      if (end > position) {
        position = end;
        continue;
      }
    }
    result += text[position] ?? '';
    position++;
  }
  return result;
}
