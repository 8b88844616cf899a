import { shortId, VarveError } from '../base/index.ts';
import { canonicalName, type Digest, familiarReference, parseReference } from '../oci/index.ts';
import type { ImageRecords } from './records.ts';
import type { LocalImage, RemovedItem } from './types.ts';

export interface RemoveOptions {
  readonly force?: boolean;
  readonly noPrune?: boolean;
  readonly inUse: (id: Digest) => readonly { readonly id: string; readonly running: boolean }[];
}

/**
 * `docker rmi` on the records (moby daemon/images/image_delete.go): by a name of several it untags; else it untags
 * all and deletes the image, then parents left without tags and children. Bytes go at the next collection.
 */
export function removeImage(
  records: ImageRecords,
  image: LocalImage,
  nameOrId: string,
  options: RemoveOptions,
): RemovedItem[] {
  const { id } = image;
  const removed: RemovedItem[] = [];
  const byId = isIdOf(nameOrId, id);
  const untag = (reference: string): void => {
    if (reference.includes('@')) records.deleteDigest(reference, id);
    else records.deleteTag(reference);
    removed.push({ untagged: familiarReference(parseReference(reference)) });
  };
  return records.transaction(() => {
    if (!byId) {
      const named = canonicalOf(nameOrId);
      const others = records.tags(id).filter((tag) => tag !== named);
      if (others.length > 0) {
        untag(named);
        // A repository whose last tag is gone loses its digests too.
        const repository = repositoryOf(named);
        if (!others.some((tag) => repositoryOf(tag) === repository)) {
          for (const digest of records.digests(id)) if (repositoryOf(digest) === repository) untag(digest);
        }
        return removed;
      }
    } else {
      const repositories = new Set(records.tags(id).map(repositoryOf));
      if (repositories.size > 1 && options.force !== true) {
        throw conflict(id, 'must be forced', 'image is referenced in multiple repositories');
      }
    }
    checkUnused(id, options, !byId);
    for (const reference of [...records.tags(id), ...records.digests(id)]) untag(reference);
    if (records.children(id).length > 0) {
      if (removed.length > 0) return removed;
      throw conflict(id, 'cannot be forced', 'image has dependent child images');
    }
    deleteWithParents(records, id, options, removed);
    return removed;
  });
}

function checkUnused(id: Digest, options: RemoveOptions, byName: boolean): void {
  const users = options.inUse(id);
  const running = users.find((user) => user.running);
  if (running) {
    if (byName && options.force === true) return;
    throw conflict(id, 'cannot be forced', `image is being used by running container ${shortId(running.id)}`);
  }
  const stopped = users[0];
  if (stopped && options.force !== true) {
    throw conflict(id, 'must be forced', `image is being used by stopped container ${shortId(stopped.id)}`);
  }
}

function deleteWithParents(
  records: ImageRecords,
  id: Digest,
  options: RemoveOptions,
  removed: RemovedItem[],
): void {
  let current: Digest | undefined = id;
  while (current !== undefined) {
    const record = records.image(current);
    if (!record) return;
    if (current !== id) {
      const wanted = records.tags(current).length > 0 || records.digests(current).length > 0;
      if (wanted || records.children(current).length > 0 || options.inUse(current).length > 0) return;
    }
    records.deleteImage(current);
    removed.push({ deleted: current });
    current = options.noPrune === true ? undefined : record.parent;
  }
}

function conflict(id: Digest, force: string, why: string): VarveError {
  return new VarveError(
    'conflict',
    'IMAGE_IN_USE',
    `conflict: unable to delete ${shortId(id)} (${force}) - ${why}`,
    {
      subject: id,
    },
  );
}

function isIdOf(text: string, id: Digest): boolean {
  const hex = text.replace(/^sha256:/, '');
  return hex.length > 0 && /^[0-9a-f]+$/.test(hex) && id.startsWith(`sha256:${hex}`);
}

function canonicalOf(text: string): string {
  const reference = parseReference(text);
  const name = canonicalName(reference);
  if (reference.digest !== undefined) return `${name}@${reference.digest}`;
  return `${name}:${reference.tag ?? 'latest'}`;
}

function repositoryOf(reference: string): string {
  return canonicalName(parseReference(reference));
}
