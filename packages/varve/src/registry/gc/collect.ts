import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import type { MetadataStore, ReviewKind, SweepCursor, SweepStep } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import type { RecentlyUsed } from './recently-used.ts';

/** What the collector works on. */
export interface CollectorParts {
  readonly storage: RegistryStorage;
  readonly metadata: MetadataStore;
  readonly recentlyUsed: RecentlyUsed;
}

export interface CollectOptions {
  /** What is younger, or was used since, stays (milliseconds; default an hour). It must outlast the longest push. */
  readonly graceMs?: number;
  /** Also remove manifests without a tag that no index and no subject leads to. */
  readonly untagged?: boolean;
  /** Also look at every record and every stored blob, for bytes that a crash left without a record. */
  readonly full?: boolean;
  readonly signal?: AbortSignal;
}

/** What a collection did. */
export interface CollectReport {
  readonly manifests: number;
  readonly links: number;
  readonly blobs: readonly Digest[];
  readonly bytes: number;
}

export const defaultGraceMs = 3600 * 1000;
// Some microseconds each: a step holds the loop for a few milliseconds.
export const batch = 500;

/** The instant before which things must have been made to go. A grace of nothing takes what was made this millisecond. */
export function graceEnd(graceMs: number): number {
  return Date.now() - graceMs + (graceMs <= 0 ? 1 : 0);
}

/**
 * Removes what nothing needs, while the registry serves. It goes by the list of what may have lost its last need, which the
 * records keep with every change: (1) untagged manifests if asked; (2) a repository's links to blobs that none of its
 * manifests names; (3) blobs that no repository has, record first, then bytes; (4) in a full collection bytes without a
 * record, left by a crash. Need is asked of the tables inside each removing transaction, and (3) and (4) hold the blob's turn, so a push of the same blob is
 * either before (it stays) or after (it is written anew).
 */
export async function collectGarbage(
  parts: CollectorParts,
  options: CollectOptions = {},
): Promise<CollectReport> {
  const { metadata, storage, recentlyUsed } = parts;
  const { signal } = options;
  const graceMs = options.graceMs ?? defaultGraceMs;
  const before = graceEnd(graceMs);
  recentlyUsed.turn(graceMs);

  if (options.full) {
    for await (const _ of sweep(signal, (cursor) => metadata.garbage.reviewAll(batch, cursor)));
  }
  const review = async (kind: ReviewKind, keep: (digest: Digest) => boolean): Promise<number> => {
    let removed = 0;
    for await (const found of sweep(signal, (cursor) =>
      metadata.garbage.review(kind, before, batch, keep, cursor),
    )) {
      removed += found.length;
    }
    return removed;
  };
  let manifests = 0;
  // An index that goes may have been all that led to its children, so again until nothing goes.
  for (let removed = options.untagged ? 1 : 0; removed > 0; manifests += removed) {
    removed = await review('manifest', () => false);
  }
  const links = await review('link', (digest) => recentlyUsed.has(digest, graceMs));

  const blobs: Digest[] = [];
  let bytes = 0;
  const drop = async (digest: Digest): Promise<void> => {
    bytes += (await storage.stat(digest))?.size ?? 0;
    await storage.delete(digest);
    blobs.push(digest);
  };
  for await (const found of sweep(signal, (cursor) =>
    metadata.garbage.review('blob', before, batch, () => false, cursor),
  )) {
    for (const { digest } of found) {
      await metadata.inBlobTurn(digest, async () => {
        if (await metadata.garbage.forgetBlob(digest)) await drop(digest);
      });
    }
  }
  if (options.full) {
    for await (const { digest, storedAt } of storage.list()) {
      throwIfAborted(signal);
      if (storedAt >= before || (await metadata.garbage.knowsBlob(digest))) continue;
      await metadata.inBlobTurn(digest, async () => {
        if (!(await metadata.garbage.knowsBlob(digest))) await drop(digest);
      });
    }
  }
  return { manifests, links, blobs, bytes };
}

/** Takes a sweep's steps to the end, with the event loop's other work between them. */
export async function* sweep<T>(
  signal: AbortSignal | undefined,
  step: (cursor: SweepCursor | undefined) => SweepStep<T> | Promise<SweepStep<T>>,
): AsyncGenerator<T, void, void> {
  for (let cursor: SweepCursor | undefined; ; ) {
    throwIfAborted(signal);
    const { found, next } = await step(cursor);
    yield found;
    await setImmediate();
    if (!next) return;
    cursor = next;
  }
}
