/** bench/RESULTS.md: each benchmark writes its own part, from its first-level heading to the next. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const file = join(resolve(import.meta.dirname, '..'), 'bench/RESULTS.md');

/** Replaces the part with the same heading, or adds it at the end. @param text starts with `# Heading`. */
export function writeResults(text: string): void {
  const heading = text.split('\n', 1)[0];
  const parts = existsSync(file) ? readFileSync(file, 'utf8').split(/^(?=# )/m) : [];
  const others = parts.map((part) => part.trim()).filter((part) => part !== '');
  const at = others.findIndex((part) => part.split('\n', 1)[0] === heading);
  others.splice(at < 0 ? others.length : at, at < 0 ? 0 : 1, text.trim());
  writeFileSync(file, `${others.join('\n\n')}\n`);
}

/**
 * Replaces the parts with these second-level headings within the part of a first-level heading, and leaves its others.
 * @param parts each starts with `## Heading`; a heading's place in `order` is its place on the page
 */
export function writeResultParts(heading: string, parts: readonly string[], order: readonly string[]): void {
  const page = existsSync(file) ? readFileSync(file, 'utf8').split(/^(?=# )/m) : [];
  const now = page.find((part) => part.split('\n', 1)[0] === heading) ?? '';
  const all = new Map<string, string>();
  for (const part of [...now.split(/^(?=## )/m).filter((text) => text.startsWith('## ')), ...parts]) {
    all.set(part.split('\n', 1)[0]?.slice('## '.length) ?? '', part.trim());
  }
  const place = (name: string): number => order.indexOf(name);
  const sorted = [...all].sort(([one], [other]) => place(one) - place(other)).map(([, text]) => text);
  writeResults([heading, ...sorted].join('\n\n'));
}
