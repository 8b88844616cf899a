import { DirectiveReader } from './directives.ts';
import { locate, parseError } from './errors.ts';
import { heredocMarks } from './heredoc.ts';
import type { Directives, Heredoc, SourceRange } from './types.ts';
import { parseJsonArray, takeFlags } from './words.ts';

/** One instruction as lines of text: what the grammar of single instructions starts from. */
export interface RawInstruction {
  readonly keyword: string;
  readonly flags: readonly string[];
  /** What follows the flags, without blanks around it. */
  readonly rest: string;
  /** The whole logical line. */
  readonly text: string;
  readonly heredocs: readonly Heredoc[];
  readonly range: SourceRange;
  readonly emptyContinuation: boolean;
}

export interface RawDockerfile {
  readonly directives: Directives;
  readonly instructions: readonly RawInstruction[];
}

const isComment = (line: string): boolean => /^\s*#/.test(line);

/** Cuts a logical line into keyword, flags and the rest. */
export function splitInstruction(text: string): {
  readonly keyword: string;
  readonly flags: readonly string[];
  readonly rest: string;
} {
  const match = /^(\S+)(?:\s+([^]*))?$/.exec(text.trim());
  return { keyword: match?.[1] ?? '', ...takeFlags(match?.[2] ?? '') };
}

/** True when here-documents may follow: ADD, COPY and RUN in shell form, also as a trigger of ONBUILD. */
function takesHeredocs(text: string): boolean {
  const { keyword, rest } = splitInstruction(text);
  const upper = keyword.toUpperCase();
  if (upper === 'ONBUILD') return rest !== '' && takesHeredocs(rest);
  return ['ADD', 'COPY', 'RUN'].includes(upper) && parseJsonArray(rest) === undefined;
}

class Reader {
  readonly #lines: readonly string[];
  readonly #directives = new DirectiveReader();
  #next = 0;

  constructor(source: string) {
    const text = source.startsWith('\uFEFF') ? source.slice(1) : source;
    this.#lines = text.split('\n');
    if (this.#lines.at(-1) === '') this.#lines = this.#lines.slice(0, -1);
  }

  read(): RawDockerfile {
    const instructions: RawInstruction[] = [];
    while (this.#next < this.#lines.length) {
      const instruction = this.#instruction();
      if (instruction) instructions.push(instruction);
    }
    if (instructions.length === 0) {
      throw parseError(
        { startLine: 1, endLine: Math.max(1, this.#lines.length) },
        'file with no instructions',
      );
    }
    return { directives: this.#directives.directives, instructions };
  }

  #line(): string {
    return (this.#lines[this.#next++] as string).replace(/\r$/, '');
  }

  /** Joins a line with its continuations; undefined for a blank or comment line. */
  #instruction(): RawInstruction | undefined {
    const startLine = this.#next + 1;
    const first = this.#line().trimStart();
    locate({ startLine, endLine: startLine }, () => this.#directives.read(first));
    if (first === '' || first.startsWith('#')) return undefined;
    let { text, open } = this.#continuation(first);
    let emptyContinuation = false;
    while (open && this.#next < this.#lines.length) {
      const line = this.#line();
      if (isComment(line)) continue;
      if (line.trim() === '') {
        emptyContinuation = true;
        continue;
      }
      const more = this.#continuation(line);
      text += more.text;
      open = more.open;
    }
    if (text.trim() === '') return undefined;
    const instructionRange = { startLine, endLine: this.#next };
    return locate(instructionRange, () => {
      const heredocs = takesHeredocs(text) ? heredocMarks(text).map((mark) => this.#heredoc(mark)) : [];
      const range = { startLine, endLine: this.#next };
      return { ...splitInstruction(text), text: text.trim(), heredocs, range, emptyContinuation };
    });
  }

  /** Takes the escape off the end of a line that goes on; a doubled one does not continue it. */
  #continuation(line: string): { readonly text: string; readonly open: boolean } {
    const trimmed = line.replace(/[ \t]+$/, '');
    const escape = this.#directives.escape;
    if (!trimmed.endsWith(escape) || trimmed.at(-2) === escape) return { text: line, open: false };
    return { text: trimmed.slice(0, -1), open: true };
  }

  #heredoc(mark: Omit<Heredoc, 'content'>): Heredoc {
    const startLine = this.#next;
    let content = '';
    while (this.#next < this.#lines.length) {
      const raw = this.#lines[this.#next++] as string;
      const line = raw.replace(/\r$/, '');
      if ((mark.chomp ? line.replace(/^\t+/, '') : line) === mark.name) return { ...mark, content };
      content += `${raw}\n`;
    }
    throw parseError({ startLine, endLine: this.#next }, 'unterminated heredoc');
  }
}

/**
 * Cuts a Dockerfile into instructions: byte order mark, directives, comments, continuations, here-documents.
 * @throws VarveError `invalid` `DOCKERFILE_INVALID` with the line.
 */
export function readInstructions(source: string): RawDockerfile {
  return new Reader(source).read();
}
