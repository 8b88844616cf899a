/** A compiled glob. */
export interface Glob {
  readonly text: string;
  matches(name: string): boolean;
  /** What every match begins with. */
  readonly prefix: string;
}

const compiled = new Map<string, Glob>();
const maxCompiled = 10_000;

/**
 * Compiles a glob over names with slashes: `?` is one character and `*` any number, neither a slash; `**` is any
 * number with slashes. `team/**` is all below `team/`, not `team` itself.
 */
export function glob(text: string): Glob {
  const known = compiled.get(text);
  if (known) return known;
  const source = text.replace(/\*{2,}|[*?]|[.+^${}()|[\]\\]/g, (part) => {
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.startsWith('**') ? '.*' : `\\${part}`;
  });
  const pattern = new RegExp(`^${source}$`, 's');
  const prefix = /^[^*?]*/.exec(text)?.[0] ?? '';
  const made: Glob = { text, prefix, matches: (name) => pattern.test(name) };
  if (compiled.size >= maxCompiled) compiled.clear();
  compiled.set(text, made);
  return made;
}

/** True when a glob matches every name. */
export function matchesAll(text: string): boolean {
  return /^\*\*+$/.test(text);
}
