import { mapLimit, throwIfAborted } from '../../base/index.ts';
import { isDigest } from '../../oci/index.ts';
import type { MetadataStore, Uncopied } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import { recordName, writeRecord } from './record.ts';

const batch = 200;
const atOnce = 8;

interface Parts {
  readonly metadata: MetadataStore;
  readonly storage: RegistryStorage;
}

/**
 * Brings the copies of manifests and tags in storage up to date with the records: what changed is written as it is now, what
 * is gone is removed. So storage alone is enough to make the records again. @returns how many it took off the list
 */
export async function copyRecords({ metadata, storage }: Parts, signal?: AbortSignal): Promise<number> {
  let done = 0;
  for (;;) {
    throwIfAborted(signal);
    const items = await metadata.uncopied(batch);
    if (items.length === 0) return done;
    await mapLimit(items, atOnce, async (item) => {
      await copy({ metadata, storage }, item);
      await metadata.copied(item);
    });
    done += items.length;
  }
}

async function copy({ metadata, storage }: Parts, { kind, repository, name }: Uncopied): Promise<void> {
  const key = recordName(kind, repository, name);
  if (kind === 'tag') {
    const record = await metadata.manifestByTag(repository, name);
    if (!record) return await storage.removeRecord(key);
    const { digest } = record;
    return await storage.writeRecord(key, writeRecord({ kind, repository, tag: name, digest }));
  }
  const digest = isDigest(name) ? name : undefined;
  const record = digest && (await metadata.manifestByDigest(repository, digest));
  const bytes = digest && (await metadata.manifestContent(repository, digest));
  if (!record || !bytes || !digest) return await storage.removeRecord(key);
  const { mediaType } = record;
  await storage.writeRecord(key, writeRecord({ kind, repository, digest, mediaType, bytes }));
}
