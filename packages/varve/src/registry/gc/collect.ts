import type { KeyedLock } from '../../base/index.ts';
import { throwIfAborted } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import type { MetadataStore } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import type { RecentlyUsed } from './recently-used.ts';

/** What the collector works on. */
export interface CollectorParts {
  readonly storage: RegistryStorage;
  readonly metadata: MetadataStore;
  readonly recentlyUsed: RecentlyUsed;
  /** Shared with the uploads, by digest. */
  readonly blobTurns: KeyedLock;
}

export interface CollectOptions {
  /** What is younger, or was used since, stays (milliseconds; default an hour). It must outlast the longest push. */
  readonly graceMs?: number;
  /** Also remove manifests without a tag that no index and no subject leads to. */
  readonly untagged?: boolean;
  readonly signal?: AbortSignal;
}

/** What a collection did. */
export interface CollectReport {
  readonly manifests: number;
  readonly links: number;
  readonly blobs: readonly Digest[];
  readonly bytes: number;
}

const defaultGraceMs = 3600 * 1000;
const batch = 500;

/**
 * Removes what nothing needs, while the registry serves. By records, not by walking manifests: (1) untagged manifests
 * if asked; (2) a repository's links to blobs that none of its manifests names; (3) blobs that no repository has,
 * record first, then bytes; (4) bytes without a record, left by a crash. Each step asks again inside its transaction,
 * and (3) and (4) hold the blob's turn, so a push of the same blob is either before (it stays) or after (it is
 * written anew).
 */
export async function collectGarbage(
  parts: CollectorParts,
  options: CollectOptions = {},
): Promise<CollectReport> {
  const { metadata, storage, recentlyUsed } = parts;
  const graceMs = options.graceMs ?? defaultGraceMs;
  const before = Date.now() - graceMs + (graceMs <= 0 ? 1 : 0);
  recentlyUsed.turn(graceMs);

  let manifests = 0;
  for (let removed = 1; options.untagged && removed > 0; manifests += removed) {
    throwIfAborted(options.signal);
    removed = await metadata.garbage.removeUntagged(before, batch);
  }
  let links = 0;
  for (let examined = batch; examined === batch; ) {
    throwIfAborted(options.signal);
    const step = await metadata.garbage.removeUnusedLinks(before, batch, (digest) =>
      recentlyUsed.has(digest, graceMs),
    );
    examined = step.examined;
    links += step.removed;
  }

  const blobs: Digest[] = [];
  let bytes = 0;
  const drop = async (digest: Digest): Promise<void> => {
    bytes += (await storage.stat(digest))?.size ?? 0;
    await storage.delete(digest);
    blobs.push(digest);
  };
  for (let after: Digest | undefined; ; ) {
    throwIfAborted(options.signal);
    const page = await metadata.garbage.unlinkedBlobs(before, { after, limit: batch });
    for (const digest of page) {
      await parts.blobTurns.run(digest, async () => {
        if (await metadata.garbage.forgetBlob(digest)) await drop(digest);
      });
    }
    if (page.length < batch) break;
    after = page.at(-1);
  }
  for await (const { digest, storedAt } of storage.list()) {
    throwIfAborted(options.signal);
    if (storedAt >= before || (await metadata.garbage.knowsBlob(digest))) continue;
    await parts.blobTurns.run(digest, async () => {
      if (!(await metadata.garbage.knowsBlob(digest))) await drop(digest);
    });
  }
  return { manifests, links, blobs, bytes };
}
