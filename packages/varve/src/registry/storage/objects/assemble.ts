import type { ObjectStore, StoredObject } from './types.ts';

/** Objects that become one. */
export type Group = readonly StoredObject[];

/**
 * Cuts sources into groups of at most `maxSources`, each of at most `maxBytes` (a source that is larger alone is a
 * group of its own), in order.
 */
export function groupSources(sources: Group, maxSources: number, maxBytes: number): Group[] {
  const groups: StoredObject[][] = [];
  let bytes = 0;
  for (const source of sources) {
    const last = groups.at(-1);
    if (last && last.length < maxSources && bytes + source.size <= maxBytes) {
      last.push(source);
      bytes += source.size;
    } else {
      groups.push([source]);
      bytes = source.size;
    }
  }
  return groups;
}

/**
 * {@link ObjectStore.assemble} of any number of sources: too many for one call are made into fewer, larger ones
 * first, as often as needed.
 * @param intermediate names one of the objects between, by its level and number
 */
export async function assembleAll(
  store: ObjectStore,
  sources: Group,
  target: string,
  intermediate: (level: number, index: number) => string,
): Promise<void> {
  let current = sources;
  for (let level = 1; current.length > store.maxSources; level++) {
    const groups = groupSources(current, store.maxSources, store.maxSourceBytes);
    if (groups.length === current.length) break;
    const next: StoredObject[] = [];
    for (const [index, group] of groups.entries()) {
      const key = intermediate(level, index);
      await store.assemble(group, key);
      next.push({ key, size: group.reduce((sum, { size }) => sum + size, 0), modifiedAt: Date.now() });
    }
    current = next;
  }
  await store.assemble(current, target);
}
