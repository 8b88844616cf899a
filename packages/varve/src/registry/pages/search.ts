import { setImmediate } from 'node:timers/promises';
import type { MetadataStore } from '../metadata/index.ts';
import { justBefore, laterOf } from '../names.ts';
import type { Viewer } from './types.ts';

/** A repository whose name matches, or a tag. */
export interface Hit {
  readonly repository: string;
  readonly tag?: string;
}

export interface SearchResult {
  readonly hits: readonly Hit[];
  readonly looked: { readonly repositories: number; readonly tags: number };
  /** Where to go on; undefined when everything was looked at. */
  readonly next: string | undefined;
}

/** Names and tags that one request looks at: some 50 ms of an embedded database. */
const maxLooked = 20_000;
const maxHits = 100;
export const maxTagsOfOne = 5000;
const step = 500;

/**
 * Looks for a text in the names of repositories and, in those whose name does not have it, in their tags; `name:tag` looks
 * for a tag in the repositories whose name has `name`. Capitals do not matter. It looks at a bounded number, and says where
 * to go on.
 */
export async function search(
  metadata: Pick<MetadataStore, 'repositories' | 'tags'>,
  viewer: Pick<Viewer, 'sees' | 'prefixes'>,
  text: string,
  after: string | undefined,
): Promise<SearchResult> {
  const [name = '', tag] = text.toLowerCase().split(':', 2);
  const hits: Hit[] = [];
  const looked = { repositories: 0, tags: 0 };
  for (const start of viewer.prefixes()) {
    let from = laterOf(after, justBefore(start));
    for (let inside = true; inside; ) {
      const names = await metadata.repositories({
        ...(from === undefined ? {} : { after: from }),
        limit: step,
      });
      inside = names.length === step;
      for (const repository of names) {
        inside &&= repository.startsWith(start);
        if (!repository.startsWith(start)) break;
        from = repository;
        looked.repositories++;
        if (viewer.sees(repository)) await lookInto(repository);
        if (hits.length >= maxHits || looked.repositories + looked.tags >= maxLooked) {
          return { hits, looked, next: from };
        }
      }
      await setImmediate();
    }
  }
  return { hits, looked, next: undefined };

  async function lookInto(repository: string): Promise<void> {
    const named = repository.includes(name);
    if (tag === undefined && named) hits.push({ repository });
    else if (tag === undefined || named) await lookAtTags(repository, tag ?? name);
  }

  async function lookAtTags(repository: string, wanted: string): Promise<void> {
    for (let last: string | undefined, seen = 0; seen < maxTagsOfOne; ) {
      const tags = await metadata.tags(repository, { after: last, limit: step });
      seen += tags.length;
      looked.tags += tags.length;
      for (const each of tags) {
        if (each.toLowerCase().includes(wanted) && hits.length < maxHits)
          hits.push({ repository, tag: each });
      }
      if (tags.length < step || hits.length >= maxHits) return;
      last = tags.at(-1);
      await setImmediate();
    }
  }
}
