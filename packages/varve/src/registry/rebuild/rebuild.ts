import { throwIfAborted, VarveError } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import { readManifest } from '../manifests/document.ts';
import type { MetadataStore } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import { readRecord, type StoredRecord } from './record.ts';

export interface RebuildReport {
  readonly manifests: number;
  readonly tags: number;
  /** What could not be taken, with the reason as a sentence without full stop. */
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * Makes the records again from what storage keeps: blobs, and the copies of manifests and tags. What is in the records
 * already stays as it is, so it may be run again, and beside requests. Manifests come with their blobs or not at all, as in a
 * push; what nobody named (quota, robots, times of pulls) is not in storage and not made again.
 */
export async function rebuildRecords(
  { metadata, storage }: { readonly metadata: MetadataStore; readonly storage: RegistryStorage },
  signal?: AbortSignal,
): Promise<RebuildReport> {
  const tags: (StoredRecord & { readonly kind: 'tag' })[] = [];
  const refused: { readonly name: string; readonly reason: string }[] = [];
  let manifests = 0;
  for await (const bytes of storage.records()) {
    throwIfAborted(signal);
    const record = readRecord(bytes);
    if (!record) continue;
    if (record.kind === 'tag') {
      tags.push(record);
      continue;
    }
    const { repository, digest } = record;
    if (await metadata.manifestByDigest(repository, digest)) continue;
    try {
      await takeManifest(metadata, storage, record);
      manifests++;
    } catch (error) {
      refused.push({ name: `${repository}@${digest}`, reason: reasonOf(error) });
    }
  }
  let tagged = 0;
  for (const { repository, tag, digest } of tags) {
    throwIfAborted(signal);
    if (await metadata.manifestByTag(repository, tag)) continue;
    if (await retag(metadata, repository, tag, digest)) tagged++;
    else refused.push({ name: `${repository}:${tag}`, reason: `its manifest ${digest} is not here` });
  }
  return { manifests, tags: tagged, refused };
}

async function takeManifest(
  metadata: MetadataStore,
  storage: RegistryStorage,
  { repository, digest, mediaType, bytes }: StoredRecord & { readonly kind: 'manifest' },
): Promise<void> {
  const manifest = readManifest(Buffer.from(bytes), mediaType, digest);
  for (const named of [...manifest.blobs.map((blob) => blob.digest), ...manifest.optionalBlobs]) {
    if (await metadata.blob(repository, named)) continue;
    const stored = await storage.stat(named);
    if (stored) await metadata.addBlob(repository, { digest: named, size: stored.size });
  }
  await metadata.putManifest(repository, manifest, []);
}

async function retag(
  metadata: MetadataStore,
  repository: string,
  tag: string,
  digest: Digest,
): Promise<boolean> {
  const record = await metadata.manifestByDigest(repository, digest);
  const bytes = await metadata.manifestContent(repository, digest);
  if (!record || !bytes) return false;
  await metadata.putManifest(repository, readManifest(Buffer.from(bytes), record.mediaType, digest), [tag]);
  return true;
}

function reasonOf(error: unknown): string {
  const failure = VarveError.from(error);
  return `${failure.code}: ${failure.message}`;
}
