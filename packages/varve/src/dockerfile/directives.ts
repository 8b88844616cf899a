import { syntaxError } from './errors.ts';
import type { Directives } from './types.ts';

const known = new Set(['syntax', 'escape', 'check']);

/**
 * Reads the parser directives: comments of the form `# key=value` before anything else, each at most once. The
 * first line that is not one ends them (Dockerfile reference, "Parser directives").
 */
export class DirectiveReader {
  readonly #seen = new Map<string, string>();
  #done = false;

  /** Looks at one line of the file. @throws VarveError `DOCKERFILE_SYNTAX` for a repeated or impossible one. */
  read(line: string): void {
    if (this.#done) return;
    const match = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line);
    const key = match?.[1]?.toLowerCase();
    if (!match || key === undefined || !known.has(key)) {
      this.#done = true;
      return;
    }
    if (this.#seen.has(key)) throw syntaxError(`only one ${key} parser directive can be used`);
    const value = match[2] as string;
    if (key === 'escape' && value !== '\\' && value !== '`') {
      throw syntaxError(`invalid escape token '${value}' does not match \` or \\`);
    }
    this.#seen.set(key, value);
  }

  get escape(): '\\' | '`' {
    return this.#seen.get('escape') === '`' ? '`' : '\\';
  }

  get directives(): Directives {
    const syntax = this.#seen.get('syntax');
    const check = this.#seen.get('check');
    return {
      escape: this.escape,
      ...(syntax === undefined ? {} : { syntax }),
      ...(check === undefined ? {} : { check }),
    };
  }
}
