import { setImmediate } from 'node:timers/promises';
import type { MetadataStore } from '../metadata/index.ts';
import { justBefore, laterOf } from '../names.ts';
import type { Viewer } from './types.ts';

/** A line of a list of repositories. */
export interface Entry {
  readonly kind: 'namespace' | 'repository';
  readonly name: string;
}

export interface Listing {
  readonly entries: readonly Entry[];
  /** What {@link browse} takes as `after` for the rest; undefined at the end. */
  readonly next: string | undefined;
}

const namesPerStep = 200;
/** Names looked at for one page: where most are hidden, a page may be short and still have a next one. */
const maxLooked = 5000;
// Comes after every name that begins with what it is put behind.
const last = '\u{10ffff}';

/**
 * What is directly in a namespace, or at the top, and may be seen: repositories, and namespaces with something to be seen in
 * them. A namespace is stepped over once it is known, however many repositories it has.
 */
export async function browse(
  metadata: Pick<MetadataStore, 'repositories'>,
  viewer: Pick<Viewer, 'sees' | 'prefixes'>,
  options: { readonly namespace: string; readonly after: string | undefined; readonly limit: number },
): Promise<Listing> {
  const root = options.namespace === '' ? '' : `${options.namespace}/`;
  const entries: Entry[] = [];
  let after = options.after?.endsWith('/') ? options.after + last : options.after;
  let looked = 0;
  for (const start of startsIn(root, viewer.prefixes())) {
    after = laterOf(after, justBefore(start));
    for (let inside = true; inside; ) {
      const names = await metadata.repositories({
        ...(after === undefined ? {} : { after }),
        limit: namesPerStep,
      });
      inside = names.length > 0;
      for (const name of names) {
        inside = name.startsWith(start);
        if (!inside) break;
        if (after !== undefined && name < after) continue;
        looked++;
        after = name;
        if (!viewer.sees(name)) continue;
        if (entries.length >= options.limit) return { entries, next: cursorOf(entries.at(-1)) };
        const entry = entryOf(root, name);
        entries.push(entry);
        if (entry.kind === 'namespace') after = `${entry.name}/${last}`;
      }
      if (looked >= maxLooked && inside) return { entries, next: after };
      await setImmediate();
    }
  }
  return { entries, next: undefined };
}

function entryOf(root: string, name: string): Entry {
  const slash = name.indexOf('/', root.length);
  return slash < 0 ? { kind: 'repository', name } : { kind: 'namespace', name: name.slice(0, slash) };
}

function cursorOf(entry: Entry | undefined): string | undefined {
  return entry?.kind === 'namespace' ? `${entry.name}/` : entry?.name;
}

/** Where to look for names below `root`, given where there is anything to be seen. */
function startsIn(root: string, prefixes: readonly string[]): string[] {
  if (prefixes.some((prefix) => root.startsWith(prefix))) return [root];
  return prefixes.filter((prefix) => prefix.startsWith(root));
}
