import { VarveError } from '../base/index.ts';

/**
 * A path pattern: Go's filepath.Match (`*`, `?`, `[a-z]`, `[^x]`, `\`), and with `doubleStar` also `**` over any
 * number of folders, as moby's patternmatcher reads it. Matched as a state machine, linear in pattern times path.
 */
type Token =
  | { readonly kind: 'char'; readonly char: string }
  /** `?`: one character of a name. */
  | { readonly kind: 'one' }
  /** `*`: any number of characters of a name. */
  | { readonly kind: 'many' }
  /** `**` at the end: anything. */
  | { readonly kind: 'rest' }
  /** `**` before more: nothing, or anything that ends with a slash. */
  | { readonly kind: 'folders' }
  | {
      readonly kind: 'class';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    };

function bad(pattern: string): VarveError {
  return new VarveError('invalid', 'PATTERN_INVALID', `syntax error in pattern: ${pattern}`, {
    subject: pattern,
  });
}

export class PathPattern {
  readonly text: string;
  readonly #tokens: readonly Token[];
  /** `**name`: a plain suffix of the whole path, without regard to folders. */
  readonly #suffix: string | undefined;

  /** @throws VarveError `PATTERN_INVALID` for an open bracket, an empty class or a trailing escape. */
  constructor(text: string, options: { readonly doubleStar: boolean }) {
    this.text = text;
    this.#tokens = PathPattern.#compile(text, options.doubleStar);
    const plain = this.#tokens.slice(1).every((token) => token.kind === 'char');
    this.#suffix =
      options.doubleStar && plain && text.startsWith('**') && text !== '**' && text[2] !== '/'
        ? text.slice(2)
        : undefined;
  }

  /** True when the pattern is the name of one path. */
  get literal(): boolean {
    return this.#tokens.every((token) => token.kind === 'char');
  }

  matches(path: string): boolean {
    if (this.#suffix !== undefined) return path.endsWith(this.#suffix);
    let states = new Set<number>([0]);
    // Positions right behind a `folders` token in the middle of eating: they may go on only after a slash.
    for (const char of path) {
      const next = new Set<number>();
      for (const state of this.#closure(states)) this.#step(state, char, next);
      if (next.size === 0) return false;
      states = next;
    }
    return this.#closure(states).has(this.#tokens.length * 2);
  }

  /** States are token indexes times two; the odd one of a `folders` token means "inside, not behind a slash". */
  #closure(states: ReadonlySet<number>): Set<number> {
    const open = new Set(states);
    for (const state of open) {
      const kind = this.#tokens[state >> 1]?.kind;
      if (state % 2 === 0 && (kind === 'many' || kind === 'rest' || kind === 'folders')) open.add(state + 2);
    }
    return open;
  }

  #step(state: number, char: string, next: Set<number>): void {
    const token = this.#tokens[state >> 1];
    switch (token?.kind) {
      case undefined:
        return;
      case 'char':
        if (token.char === char) next.add(state + 2);
        return;
      case 'one':
        if (char !== '/') next.add(state + 2);
        return;
      case 'many':
        if (char !== '/') next.add(state);
        return;
      case 'rest':
        next.add(state);
        return;
      case 'folders':
        next.add(state | 1);
        if (char === '/') next.add((state & ~1) + 2);
        return;
      case 'class': {
        const inside = token.ranges.some(([low, high]) => low <= char && char <= high);
        if (inside !== token.negated && char !== '/') next.add(state + 2);
        return;
      }
    }
  }

  static #compile(text: string, doubleStar: boolean): Token[] {
    const chars = Array.from(text);
    const tokens: Token[] = [];
    for (let index = 0; index < chars.length; ) {
      const char = chars[index] as string;
      if (char === '*' && chars[index + 1] === '*' && doubleStar) {
        index += 2;
        if (chars[index] === '/') index++;
        tokens.push({ kind: index >= chars.length ? 'rest' : 'folders' });
      } else if (char === '*') {
        index++;
        if (tokens.at(-1)?.kind !== 'many') tokens.push({ kind: 'many' });
      } else if (char === '?') {
        index++;
        tokens.push({ kind: 'one' });
      } else if (char === '\\') {
        const escaped = chars[index + 1];
        if (escaped === undefined) throw bad(text);
        tokens.push({ kind: 'char', char: escaped });
        index += 2;
      } else if (char === '[') {
        index = PathPattern.#class(text, chars, index + 1, tokens);
      } else {
        tokens.push({ kind: 'char', char });
        index++;
      }
    }
    return tokens;
  }

  /** Reads a class behind its `[`; returns the index behind its `]`. */
  static #class(text: string, chars: readonly string[], start: number, tokens: Token[]): number {
    let index = start;
    const negated = chars[index] === '^';
    if (negated) index++;
    const ranges: (readonly [string, string])[] = [];
    const one = (): string => {
      let char = chars[index++];
      if (char === '\\') char = chars[index++];
      else if (char === '-' || char === ']') throw bad(text);
      if (char === undefined) throw bad(text);
      return char;
    };
    while (chars[index] !== ']' || ranges.length === 0) {
      const low = one();
      if (chars[index] !== '-') ranges.push([low, low]);
      else {
        index++;
        ranges.push([low, one()]);
      }
    }
    tokens.push({ kind: 'class', negated, ranges });
    return index + 1;
  }
}
