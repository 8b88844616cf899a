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
