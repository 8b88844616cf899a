import { posix } from 'node:path';
import { VarveError } from '../base/index.ts';
import { PathPattern } from './path-pattern.ts';

interface Rule {
  readonly pattern: PathPattern;
  /** `!pattern`: takes paths back in. */
  readonly exception: boolean;
}

/** Which rules matched a folder; given back for the entries in it. */
export type FolderMatch = readonly boolean[];

/** Go's filepath.Clean: no `./`, doubled or trailing slashes; `..` stays at the front. */
function clean(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/** The patterns of a `.dockerignore`: comments and blank lines dropped, made relative (moby patternmatcher/ignorefile). */
export function readIgnoreFile(text: string): string[] {
  const patterns: string[] = [];
  for (const line of text.replace(/^\uFEFF/, '').split('\n')) {
    if (line.startsWith('#')) continue;
    let pattern = line.trim();
    if (pattern === '') continue;
    const exception = pattern.startsWith('!');
    if (exception) pattern = pattern.slice(1).trim();
    if (pattern !== '') {
      pattern = clean(pattern);
      if (pattern.length > 1 && pattern.startsWith('/')) pattern = pattern.slice(1);
    }
    patterns.push(exception ? `!${pattern}` : pattern);
  }
  return patterns;
}

/**
 * Decides which paths of a context are left out. The last rule that matches a path or one of its folders wins, as in
 * moby's patternmatcher; paths are relative with `/`.
 */
export class IgnoreMatcher {
  readonly #rules: readonly Rule[];

  /** @throws VarveError `PATTERN_INVALID`. */
  constructor(patterns: readonly string[]) {
    this.#rules = patterns.flatMap((given) => {
      const trimmed = given.trim();
      if (trimmed === '') return [];
      const text = clean(trimmed);
      if (text === '!') {
        throw new VarveError('invalid', 'PATTERN_INVALID', 'illegal exclusion pattern: "!"');
      }
      const exception = text.startsWith('!');
      return [
        { pattern: new PathPattern(exception ? text.slice(1) : text, { doubleStar: true }), exception },
      ];
    });
  }

  get empty(): boolean {
    return this.#rules.length === 0;
  }

  /** For a walk from the top: `folder` is what this method gave for the folder of `path`, undefined at the top. */
  match(path: string, folder?: FolderMatch): { readonly ignored: boolean; readonly match: FolderMatch } {
    let ignored = false;
    const match = this.#rules.map(({ pattern, exception }, index) => {
      const inherited = folder?.[index] ?? false;
      // A rule that could not change the answer is not tried; what a folder matched holds for its entries.
      const hit = inherited || (exception === ignored && pattern.matches(path));
      if (hit) ignored = !exception;
      return hit;
    });
    return { ignored, match };
  }

  /** For a single path: its folders are looked at first. */
  ignores(path: string): boolean {
    const parts = path.split('/');
    let folder: FolderMatch | undefined;
    let ignored = false;
    for (let length = 1; length <= parts.length; length++) {
      const result = this.match(parts.slice(0, length).join('/'), folder);
      folder = result.match;
      ignored = result.ignored;
    }
    return ignored;
  }

  /** True when an ignored folder must still be walked, because a rule may take something in it back. */
  mayKeepInside(folder: string): boolean {
    return this.#rules.some(
      ({ pattern, exception }) => exception && (!pattern.literal || pattern.text.startsWith(`${folder}/`)),
    );
  }
}
