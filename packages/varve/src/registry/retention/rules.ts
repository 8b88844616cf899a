import { glob, parseDuration } from '../../base/index.ts';
import type { TagRecord } from '../metadata/index.ts';

/** One line of `tags.retention`: which tags of which repositories it is about, and which of those stay. */
export interface RetentionRule {
  readonly repositories: string;
  readonly tags: readonly string[];
  readonly keep: {
    /** So many, by the time of their last push. */
    readonly newest?: number | undefined;
    /** Pushed or pulled no longer ago than this duration. */
    readonly pushedwithin?: string | undefined;
    readonly pulledwithin?: string | undefined;
    readonly matching?: readonly string[] | undefined;
  };
}

/** One line of `tags.immutable`. */
export interface ImmutableRule {
  readonly repositories: string;
  readonly tags: readonly string[];
}

/** What happens to a tag, and why, as a sentence without full stop. */
export interface TagDecision {
  readonly tag: string;
  readonly digest: TagRecord['digest'];
  readonly keep: boolean;
  readonly reason: string;
}

/** True when one of the patterns matches and none that begins with `!` does. */
function matchesTag(patterns: readonly string[], tag: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    if (pattern.startsWith('!')) {
      if (glob(pattern.slice(1)).matches(tag)) return false;
    } else matched ||= glob(pattern).matches(tag);
  }
  return matched;
}

/** The test for a repository's tags, undefined when none of them is immutable. */
export function immutableTags(
  rules: readonly ImmutableRule[],
  repository: string,
): ((tag: string) => boolean) | undefined {
  const own = rules.filter((rule) => glob(rule.repositories).matches(repository));
  return own.length === 0 ? undefined : (tag) => own.some((rule) => matchesTag(rule.tags, tag));
}

/**
 * Judges the tags of one repository. A tag goes when a rule is about it and no rule that is keeps it; what no rule is about
 * stays, and so does what is immutable.
 */
export function decideTags(
  rules: readonly RetentionRule[],
  repository: string,
  tags: readonly TagRecord[],
  options: { readonly now: number; readonly immutable?: ((tag: string) => boolean) | undefined },
): TagDecision[] {
  const kept = new Map<string, string>();
  const covered = new Map<string, number>();
  for (const [index, rule] of rules.entries()) {
    if (!glob(rule.repositories).matches(repository)) continue;
    const about = tags.filter(({ name }) => matchesTag(rule.tags, name));
    for (const { name } of about) if (!covered.has(name)) covered.set(name, index);
    for (const [name, reason] of keptBy(rule, about, options.now)) {
      if (!kept.has(name)) kept.set(name, `rule ${index + 1} keeps it: ${reason}`);
    }
  }
  return tags.map(({ name, digest }): TagDecision => {
    const decision = { tag: name, digest };
    const rule = covered.get(name);
    if (rule === undefined) return { ...decision, keep: true, reason: 'no rule is about it' };
    if (options.immutable?.(name)) return { ...decision, keep: true, reason: 'it is immutable' };
    const reason = kept.get(name);
    if (reason !== undefined) return { ...decision, keep: true, reason };
    return { ...decision, keep: false, reason: `rule ${rule + 1} is about it and nothing keeps it` };
  });
}

function* keptBy(
  { keep }: RetentionRule,
  tags: readonly TagRecord[],
  now: number,
): Generator<readonly [string, string]> {
  const matching = keep.matching ?? [];
  for (const { name } of tags) {
    const pattern = matching.find((item) => glob(item).matches(name));
    if (pattern !== undefined) yield [name, `it matches ${pattern}`];
  }
  // Of tags pushed in the same millisecond the later name counts as newer, so that the answer is always the same.
  const newest = tags
    .toSorted((a, b) => b.updatedAt - a.updatedAt || (a.name < b.name ? 1 : -1))
    .slice(0, keep.newest ?? 0);
  for (const { name } of newest) yield [name, `it is one of the newest ${keep.newest}`];
  for (const { name, updatedAt, pulledAt } of tags) {
    if (within(keep.pushedwithin, updatedAt, now)) yield [name, `it was pushed within ${keep.pushedwithin}`];
    if (within(keep.pulledwithin, pulledAt, now)) yield [name, `it was pulled within ${keep.pulledwithin}`];
  }
}

function within(duration: string | undefined, at: number | undefined, now: number): boolean {
  return duration !== undefined && at !== undefined && now - at <= parseDuration(duration) / 1e6;
}
