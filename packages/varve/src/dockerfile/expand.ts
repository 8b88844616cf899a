import { syntaxError } from './errors.ts';
import { replacePattern, trimPrefix, trimSuffix } from './shell-pattern.ts';

/** How {@link expandWord} treats what is not a variable. */
export interface ExpandOptions {
  /** Escape character, from the `escape` directive. */
  readonly escape?: '\\' | '`';
  /** Quotes stay in the result. */
  readonly keepQuotes?: boolean;
  /** Escape characters stay in the result. */
  readonly keepEscapes?: boolean;
  /** Quotes are ordinary characters: bodies of here-documents. */
  readonly ignoreQuotes?: boolean;
  /** A variable that is not set stays as written. */
  readonly keepUnset?: boolean;
}

export interface Expansion {
  readonly text: string;
  /** The text split at white space that was not quoted, after the expansion. */
  readonly words: readonly string[];
  /** Names that were looked up and found, and not found. */
  readonly used: ReadonlySet<string>;
  readonly missing: ReadonlySet<string>;
}

/** Variables by name; what is absent is unset. */
export type Variables = Readonly<Record<string, string>>;

/** Deeper `${a:-${b:-…}}` than this is an attack on the stack. */
const maxDepth = 100;

/** Splits at white space unless a piece was added raw (quoted or escaped). */
class WordBuilder {
  readonly words: string[] = [];
  text = '';
  #word = '';

  add(piece: string): void {
    this.text += piece;
    for (const char of piece) {
      if (!/\s/u.test(char)) this.#word += char;
      else this.end();
    }
  }

  addRaw(piece: string): void {
    this.text += piece;
    this.#word += piece;
  }

  end(): void {
    if (this.#word !== '') this.words.push(this.#word);
    this.#word = '';
  }
}

class Expander {
  readonly #chars: readonly string[];
  readonly #variables: Variables;
  readonly #options: ExpandOptions;
  readonly #escape: string;
  readonly used = new Set<string>();
  readonly missing = new Set<string>();
  #position = 0;
  #depth = 0;

  constructor(text: string, variables: Variables, options: ExpandOptions) {
    this.#chars = Array.from(text);
    this.#variables = variables;
    this.#options = options;
    this.#escape = options.escape ?? '\\';
  }

  /** Reads up to and past `stop`, or to the end of the text when there is none. */
  readUntil(stop: string | undefined, keepEscapes: boolean): WordBuilder {
    if (++this.#depth > maxDepth) throw syntaxError('substitutions are nested too deep');
    try {
      return this.#readUntil(stop, keepEscapes);
    } finally {
      this.#depth--;
    }
  }

  #readUntil(stop: string | undefined, keepEscapes: boolean): WordBuilder {
    const out = new WordBuilder();
    for (let char = this.#peek(); char !== undefined; char = this.#peek()) {
      if (char === stop) {
        this.#position++;
        out.end();
        return out;
      }
      if (char === '$') out.add(this.#dollar());
      else if (char === "'" && !this.#options.ignoreQuotes) out.addRaw(this.#singleQuoted());
      else if (char === '"' && !this.#options.ignoreQuotes) out.addRaw(this.#doubleQuoted(keepEscapes));
      else if (char === this.#escape) {
        this.#position++;
        if (keepEscapes) out.addRaw(char);
        const escaped = this.#next();
        if (escaped !== undefined) out.addRaw(escaped);
      } else {
        this.#position++;
        out.add(char);
      }
    }
    if (stop !== undefined) {
      throw syntaxError(stop === '/' ? "syntax error: missing '/' in ${}" : "syntax error: missing '}'");
    }
    out.end();
    return out;
  }

  #peek(): string | undefined {
    return this.#chars[this.#position];
  }

  #next(): string | undefined {
    return this.#chars[this.#position++];
  }

  /** POSIX shell 2.2.2: everything is literal, nothing escapes. */
  #singleQuoted(): string {
    const end = this.#chars.indexOf("'", this.#position + 1);
    if (end < 0) {
      throw syntaxError('unexpected end of statement while looking for matching single-quote');
    }
    const inner = this.#chars.slice(this.#position + 1, end).join('');
    this.#position = end + 1;
    return this.#options.keepQuotes ? `'${inner}'` : inner;
  }

  /** POSIX shell 2.2.3: `$` expands, the escape works before `"`, `$` and itself, and is literal elsewhere. */
  #doubleQuoted(keepEscapes: boolean): string {
    const quote = this.#options.keepQuotes ? '"' : '';
    let text = quote;
    this.#position++;
    for (let char = this.#peek(); char !== undefined; char = this.#peek()) {
      if (char === '$') {
        text += this.#dollar();
        continue;
      }
      this.#position++;
      if (char === '"') return text + quote;
      if (char !== this.#escape) {
        text += char;
        continue;
      }
      if (keepEscapes) text += char;
      const escaped = this.#peek();
      if (escaped === undefined) continue;
      if (escaped === '"' || escaped === '$' || escaped === this.#escape) {
        this.#position++;
        text += escaped;
      } else {
        text += char;
      }
    }
    throw syntaxError('unexpected end of statement while looking for matching double-quote');
  }

  #dollar(): string {
    this.#position++;
    if (this.#peek() !== '{') {
      const name = this.#name();
      if (name === '') return '$';
      const value = this.#value(name);
      return value ?? (this.#options.keepUnset ? `$${name}` : '');
    }
    this.#position++;
    const first = this.#peek();
    if (first === undefined) throw syntaxError("syntax error: missing '}'");
    if (first === '{' || first === '}' || first === ':') throw syntaxError('syntax error: bad substitution');
    return this.#braced(this.#name());
  }

  /** What follows the name in `${name…}`. */
  #braced(name: string): string {
    const keep = this.#options.keepUnset === true;
    let operator = this.#next();
    if (operator === '}') {
      const value = this.#value(name);
      return value ?? (keep ? `\${${name}}` : '');
    }
    if (operator === '/') return this.#replacement(name, keep);
    const colon = operator === ':';
    if (colon) operator = this.#next();
    const written = `${colon ? ':' : ''}${operator ?? ''}`;
    if (operator === undefined) throw syntaxError("syntax error: missing '}'");
    if (!'+-?#%'.includes(operator)) throw this.#unsupported(written);
    const trims = operator === '#' || operator === '%';
    const word = this.readUntil('}', trims).text;
    const value = this.#value(name);
    if (keep && value === undefined) return `\${${name}${written}${word}}`;
    const present = value !== undefined && !(colon && value === '');
    switch (operator) {
      case '-':
        return present ? value : word;
      case '+':
        return present ? word : '';
      case '?':
        if (present) return value;
        throw syntaxError(
          `${name}: ${word || (value === undefined ? 'is not allowed to be unset' : 'is not allowed to be empty')}`,
        );
      case '#':
      case '%': {
        if (colon) throw this.#unsupported(written);
        const longest = word.startsWith(operator);
        const trim = operator === '#' ? trimPrefix : trimSuffix;
        return trim(value ?? '', longest ? word.slice(1) : word, longest);
      }
      default:
        throw this.#unsupported(written);
    }
  }

  #replacement(name: string, keep: boolean): string {
    const all = this.#peek() === '/';
    if (all) this.#position++;
    const pattern = this.readUntil('/', true).text;
    const replacement = this.readUntil('}', true).text;
    const value = this.#value(name);
    if (keep && value === undefined) return `\${${name}/${all ? '/' : ''}${pattern}/${replacement}}`;
    return replacePattern(value ?? '', pattern, replacement, all);
  }

  #unsupported(modifier: string): Error {
    return syntaxError(`unsupported modifier (${modifier}) in substitution`);
  }

  /** A name, a positional parameter or one of the shell's special parameters (POSIX shell 2.5.2). */
  #name(): string {
    const rest = this.#chars.slice(this.#position, this.#position + 256).join('');
    const name = /^(?:\d+|[@*#?\-$!]|[\p{L}_][\p{L}\p{Nd}_]*)/u.exec(rest)?.[0] ?? '';
    this.#position += Array.from(name).length;
    return name;
  }

  #value(name: string): string | undefined {
    const found = Object.hasOwn(this.#variables, name);
    (found ? this.used : this.missing).add(name);
    return found ? this.#variables[name] : undefined;
  }
}

/**
 * Expands `$v`, `${v}` and all of `${v:-w} ${v+w} ${v:?m} ${v#p} ${v%%p} ${v/p/r} ${v//p/r}` in one word of a
 * Dockerfile and takes quotes and escapes away, as BuildKit's lexer does (Dockerfile reference, "Environment replacement").
 * @throws VarveError `invalid` `DOCKERFILE_SYNTAX`.
 */
export function expandWord(word: string, variables: Variables, options: ExpandOptions = {}): Expansion {
  const expander = new Expander(word, variables, options);
  try {
    const { text, words } = expander.readUntil(undefined, options.keepEscapes ?? false);
    return { text, words, used: expander.used, missing: expander.missing };
  } catch (error) {
    if (error instanceof Error) {
      throw syntaxError(`failed to process ${JSON.stringify(word)}: ${error.message}`);
    }
    throw error;
  }
}
