import { expandWord } from './expand.ts';

export interface HeredocMark {
  readonly name: string;
  readonly expand: boolean;
  readonly chomp: boolean;
  readonly fd: number;
}

/** Reads one word as the mark of a here-document (`<<EOF`, `3<<-"END"`); undefined when it is none. */
export function parseHeredocMark(word: string): HeredocMark | undefined {
  const match = /^(\d{0,9})<<(-?)([^<]+)$/.exec(word);
  if (!match) return undefined;
  const rest = match[3] as string;
  const plain = expandWord(rest, {}, { keepUnset: true }).words;
  const raw = expandWord(rest, {}, { keepUnset: true, keepQuotes: true }).words;
  if (plain.length !== 1 || raw.length !== 1) return undefined;
  return {
    name: plain[0] as string,
    expand: plain[0] === raw[0],
    chomp: match[2] === '-',
    fd: Number(match[1] || '0'),
  };
}

/** The marks of a line, in the order in which their bodies follow. */
export function heredocMarks(line: string): HeredocMark[] {
  if (!line.includes('<<')) return [];
  const { words } = expandWord(line, {}, { keepUnset: true, keepQuotes: true, keepEscapes: true });
  return words.flatMap((word) => parseHeredocMark(word) ?? []);
}

/** Drops the tabs at the start of each line (`<<-`). */
export function chompTabs(content: string): string {
  return content.replace(/^\t+/gm, '');
}
