import { dirname } from 'node:path';
import type { Listing } from './listing.ts';

/**
 * What `docker diff` must show between two listings of trees: an added folder with all in it, a deleted one alone,
 * and the folders above each change.
 */
export function expectedChanges(before: Listing, after: Listing): string[] {
  const kinds = new Map<string, 'A' | 'C' | 'D'>();
  for (const [path, text] of after) {
    const old = before.get(path);
    if (old === undefined) kinds.set(path, 'A');
    else if (asDockerSees(old) !== asDockerSees(text)) kinds.set(path, 'C');
  }
  for (const path of before.keys()) {
    if (!after.has(path) && isFolder(after.get(dirname(path)))) kinds.set(path, 'D');
  }
  for (const path of kinds.keys()) {
    for (let above = dirname(path); above !== '/'; above = dirname(above)) {
      if (!kinds.has(above)) kinds.set(above, 'C');
    }
  }
  kinds.delete('/');
  return [...kinds].map(([path, kind]) => `${kind} ${path}`);
}

const isFolder = (text: string | undefined): boolean => text?.startsWith('folder') ?? false;

/**
 * Docker compares neither the time of a folder nor attributes other than capabilities (moby changes_unix.go), and a new
 * name of a file changes nothing in the file itself.
 */
function asDockerSees(text: string): string {
  const own = text.replace(/ = \S+/, '').replace(/ user\.\S+/g, '');
  return isFolder(own) ? own.replace(/ mtime \d+/, '') : own;
}
