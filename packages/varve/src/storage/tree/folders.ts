import { existsSync } from 'node:fs';
import { dirname } from 'node:path';

/** The path itself or the nearest folder above it that is there. */
export function existingAncestor(path: string): string {
  let current = path;
  while (!existsSync(current)) current = dirname(current);
  return current;
}
