import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** The path itself or the nearest folder above it that is there. */
export function existingAncestor(path: string): string {
  let current = path;
  while (!existsSync(current)) current = dirname(current);
  return current;
}

/** Makes the folder that a snapshot on nothing shows as its root: 0755, whatever the umask of the process. */
export function makeRootFolder(path: string): void {
  mkdirSync(path);
  chmodSync(path, 0o755);
}
