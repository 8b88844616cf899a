import type { Digest } from '../../oci/index.ts';
import type { Need, UnderReview } from '../metadata/index.ts';
import {
  batch,
  type CollectOptions,
  type CollectorParts,
  defaultGraceMs,
  graceEnd,
  sweep,
} from './collect.ts';

const unlinked = 'no repository has it';
const maxRepositories = 10_000;

/** What a collection would do with something under review, and why. */
export interface CollectDecision {
  readonly kind: UnderReview['kind'];
  /** Empty for a blob, which belongs to none. */
  readonly repository: string;
  readonly digest: Digest;
  readonly size: number;
  readonly keep: boolean;
  /** A sentence without full stop. */
  readonly reason: string;
}

/**
 * What {@link collectGarbage} would do now, without doing it, with a reason for each thing that it would look at. What is
 * not listed has lost no need since it was last looked at, or is younger than the grace; `full` lists everything older.
 */
export async function* planCollection(
  parts: CollectorParts,
  options: CollectOptions = {},
): AsyncGenerator<CollectDecision, void, void> {
  const { metadata, recentlyUsed } = parts;
  const { signal } = options;
  const graceMs = options.graceMs ?? defaultGraceMs;
  const before = graceEnd(graceMs);
  if (options.full) {
    // Being under review changes nothing but the next collection's work.
    for await (const _ of sweep(signal, (cursor) => metadata.garbage.reviewAll(batch, cursor)));
  }
  const all = (kind: UnderReview['kind']): AsyncIterable<readonly UnderReview[]> =>
    sweep(signal, (cursor) => metadata.garbage.underReview(kind, before, batch, cursor));

  const manifests = new Map<number, UnderReview>();
  for await (const found of all('manifest')) for (const item of found) manifests.set(item.id, item);
  const goneManifests = new Set<number>();
  if (options.untagged) {
    // An index that goes may be all that leads to its children, so again until nothing more goes.
    for (let before = -1; before !== goneManifests.size; ) {
      before = goneManifests.size;
      for (const item of manifests.values()) {
        if (item.needs.every((need) => isGone(need, goneManifests))) goneManifests.add(item.id);
      }
    }
    for (const item of manifests.values()) {
      yield decide(item, !goneManifests.has(item.id), 'no tag, index or subject leads to it', goneManifests);
    }
  }

  const goneLinks = new Set<string>();
  /** Blobs that lose a link, with their size: under review only once it is gone. */
  const losers = new Map<Digest, number>();
  for await (const found of all('link')) {
    for (const item of found) {
      const unneeded = item.needs.every((need) => isGone(need, goneManifests));
      if (unneeded && recentlyUsed.has(item.digest, graceMs)) {
        yield { ...facts(item), keep: true, reason: 'a client was told within the grace that it is here' };
        continue;
      }
      if (unneeded) {
        goneLinks.add(`${item.repository} ${item.digest}`);
        losers.set(item.digest, item.size);
      }
      yield decide(item, !unneeded, 'no manifest of the repository names it', goneManifests);
    }
  }
  const staysIn = (digest: Digest, repository: string): boolean => !goneLinks.has(`${repository} ${digest}`);
  for await (const found of all('blob')) {
    for (const item of found) {
      losers.delete(item.digest);
      const needs = item.needs.filter(
        (need) => need.kind === 'repository' && staysIn(item.digest, need.name),
      );
      yield decide({ ...item, needs }, needs.length > 0, unlinked, goneManifests);
    }
  }
  for (const [digest, size] of losers) {
    const names = await metadata.repositoriesOfBlob(digest, maxRepositories);
    const stays = names.find((name) => staysIn(digest, name));
    const blob = { kind: 'blob', repository: '', digest, size } as const;
    if (stays === undefined) yield { ...blob, keep: false, reason: unlinked };
    else yield { ...blob, keep: true, reason: `repository ${stays} has it` };
  }
}

function facts(item: UnderReview): Omit<CollectDecision, 'keep' | 'reason'> {
  const { kind, repository, digest, size } = item;
  return { kind, repository, digest, size };
}

function decide(item: UnderReview, keep: boolean, why: string, gone: ReadonlySet<number>): CollectDecision {
  if (!keep) return { ...facts(item), keep, reason: why };
  const need = item.needs.find((candidate) => !isGone(candidate, gone));
  return { ...facts(item), keep, reason: need ? sentence(need) : why };
}

function isGone(need: Need, gone: ReadonlySet<number>): boolean {
  return (need.kind === 'index' || need.kind === 'subject' || need.kind === 'manifest') && gone.has(need.id);
}

function sentence(need: Need): string {
  switch (need.kind) {
    case 'tag':
      return `tag ${need.name} points at it`;
    case 'index':
      return `index ${need.digest} lists it`;
    case 'subject':
      return `its subject ${need.digest} is here`;
    case 'manifest':
      return `manifest ${need.digest} names it`;
    case 'repository':
      return `repository ${need.name} has it`;
  }
}
