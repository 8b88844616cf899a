import { joinParts, pathParts } from './paths.ts';
import type { Stack } from './stack.ts';
import { childPlace, factsOf, type Place, rootPlace, seenVersion } from './visibility.ts';

/** A symbolic link that a look-up went through. */
export interface FollowedLink {
  readonly path: string;
  readonly target: string;
  readonly layer: number;
}

export interface LookUp {
  readonly place: Place;
  readonly links: readonly FollowedLink[];
  /** True when the links go round in circles: the kernel's ELOOP. */
  readonly loops: boolean;
}

/** The kernel's limit, path_resolution(7). */
const maxLinks = 40;

/**
 * Finds a path as a process in the container would: links in folders above are followed inside the root, a link at the
 * path itself is not.
 */
export function lookUp(stack: Stack, path: string): LookUp {
  const links: FollowedLink[] = [];
  const trail: Place[] = [rootPlace(stack)];
  const rest = path.split('/').filter((part) => part !== '' && part !== '.');
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    const place = childPlace(trail.at(-1) as Place, part);
    const seen = seenVersion(place);
    const facts = seen && factsOf(place, seen);
    if (rest.length > 0 && seen && facts?.type === 'symlink') {
      const target = facts.linkName ?? '';
      links.push({ path: place.path, target, layer: seen.layer });
      if (links.length > maxLinks) return { place, links, loops: true };
      if (target.startsWith('/')) trail.length = 1;
      rest.unshift(...target.split('/').filter((name) => name !== '' && name !== '.'));
      continue;
    }
    trail.push(place);
  }
  return { place: trail.at(-1) as Place, links, loops: false };
}

/** The folders above a path, the topmost first, without the root. */
export function foldersAbove(path: string): string[] {
  const parts = pathParts(path);
  return parts.slice(0, -1).map((_, index) => joinParts(parts.slice(0, index + 1)));
}
