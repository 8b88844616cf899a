import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../../base/index.ts';
import type { MetadataStore, TagRecord } from '../metadata/index.ts';
import {
  decideTags,
  type ImmutableRule,
  immutableTags,
  type RetentionRule,
  type TagDecision,
} from './rules.ts';

export interface RetainOptions {
  readonly retention: readonly RetentionRule[];
  readonly immutable: readonly ImmutableRule[];
  /** Only say what would go. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface RepositoryDecisions {
  readonly repository: string;
  readonly decisions: readonly TagDecision[];
}

const pageSize = 1000;

/**
 * Removes the tags that retention does not keep, repository by repository, while the registry serves. The manifests stay
 * until a collection of untagged ones; children of an index that is kept stay then, too.
 * @returns per repository that a rule is about what happened to each tag, or would
 */
export async function* retainTags(
  metadata: MetadataStore,
  options: RetainOptions,
): AsyncGenerator<RepositoryDecisions, void, void> {
  if (options.retention.length === 0) return;
  for await (const repository of pages(
    (after) => metadata.repositories({ after, limit: pageSize }),
    (name) => name,
  )) {
    throwIfAborted(options.signal);
    const tags: TagRecord[] = [];
    for await (const tag of pages(
      (after) => metadata.tagRecords(repository, { after, limit: pageSize }),
      ({ name }) => name,
    ))
      tags.push(tag);
    const decisions = decideTags(options.retention, repository, tags, {
      now: Date.now(),
      immutable: immutableTags(options.immutable, repository),
    });
    if (!decisions.some(({ reason }) => reason !== 'no rule is about it')) continue;
    const pushed = new Map(tags.map(({ name, updatedAt }) => [name, updatedAt]));
    for (const { tag, keep } of options.dryRun ? [] : decisions) {
      // Pushed again since it was judged: another tag than the one that was to go.
      if (!keep) await metadata.removeTag(repository, tag, { unchangedSince: pushed.get(tag) });
    }
    yield { repository, decisions };
    await setImmediate();
  }
}

async function* pages<T>(
  read: (after: string | undefined) => T[] | Promise<T[]>,
  nameOf: (item: T) => string,
): AsyncGenerator<T, void, void> {
  for (let after: string | undefined; ; ) {
    const items = await read(after);
    yield* items;
    const last = items.at(-1);
    if (last === undefined || items.length < pageSize) return;
    after = nameOf(last);
  }
}
