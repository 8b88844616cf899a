/** One challenge of a `WWW-Authenticate` header (RFC 9110 section 11.6.1), the scheme in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Headers longer than this are not looked at: an honest one has some hundred characters. */
const headerLimit = 8192;

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const parameter = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))/y;
const separator = /[ \t,]*/y;

function match(pattern: RegExp, text: string, position: number): RegExpExecArray | null {
  pattern.lastIndex = position;
  return pattern.exec(text);
}

/** Reads all challenges of a header; what is malformed ends the list. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: Challenge[] = [];
  if (header.length > headerLimit) return challenges;
  let position = match(separator, header, 0)?.[0].length ?? 0;
  while (position < header.length) {
    const scheme = match(token, header, position)?.[0];
    if (scheme === undefined) break;
    position += scheme.length;
    const parameters: Record<string, string> = Object.create(null) as Record<string, string>;
    for (;;) {
      const next = position + (match(separator, header, position)?.[0].length ?? 0);
      const found = match(parameter, header, next);
      if (found === null) {
        position = next;
        break;
      }
      const name = (found[1] ?? '').toLowerCase();
      parameters[name] = found[2]?.replace(/\\(.)/g, '$1') ?? found[3] ?? '';
      position = next + found[0].length;
    }
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
  }
  return challenges;
}
