import { isKind, throwIfAborted } from '../base/index.ts';
import {
  configSizeLimit,
  type Descriptor,
  type Digest,
  parseImageConfig,
  parseManifestDocument,
} from '../oci/index.ts';
import { totalSize } from './create.ts';
import { Hold } from './hold.ts';
import { storedLayers, type UnpackContext, unpackLayers } from './unpack.ts';

/** A manifest larger than this is none (distribution-spec, "Pushing Manifests": 4 MiB). */
const manifestLimit = 4 << 20;
/** Tells manifests from other documents before they are parsed whole. */
const looksLikeOne = /"(?:layers|manifests)"/;

/**
 * Finds images among the blobs: manifests whose config and layers are all there. Those without a readable record get one;
 * what they were called is not in the blobs.
 * @returns ids of the images recorded.
 */
export async function rebuildImages(context: UnpackContext, signal?: AbortSignal): Promise<Digest[]> {
  const { content, records } = context;
  const made: Digest[] = [];
  const indexes: { readonly digest: Digest; readonly manifests: readonly Descriptor[] }[] = [];
  const owners = new Map<Digest, Digest>();
  const unreadable = new Set(records.unreadable());
  for await (const blob of content.list()) {
    throwIfAborted(signal);
    if (blob.size > manifestLimit) continue;
    const bytes = await content.read(blob.digest, manifestLimit).catch(() => undefined);
    const parsed = bytes && read(bytes);
    if (!parsed) continue;
    if (parsed.kind === 'index') {
      indexes.push({ digest: blob.digest, manifests: parsed.document.manifests });
      continue;
    }
    const { config: configDescriptor, layers } = parsed.document;
    const id = configDescriptor.digest;
    if (records.image(id)) continue;
    if ([configDescriptor, ...layers].some(({ digest }) => !content.stat(digest))) continue;
    using hold = new Hold(context);
    const config = await content
      .read(id, configSizeLimit)
      .then(parseImageConfig)
      .catch(() => undefined);
    const diffIds = config?.rootfs.diff_ids ?? [];
    if (!config || diffIds.length !== layers.length) continue;
    hold.addLayers(diffIds);
    const stack = layers.map((layer, index) => ({
      diffId: diffIds[index] as (typeof diffIds)[number],
      blob: layer,
      ready: Promise.resolve(),
    }));
    try {
      await unpackLayers(context, stack, signal ? { signal } : {});
    } catch (error) {
      if (isKind(error, 'cancelled')) throw error;
      continue;
    }
    const manifest = { mediaType: mediaTypeOf(bytes), digest: blob.digest, size: blob.size };
    if (unreadable.has(id)) records.mend(id, configDescriptor, manifest);
    const size = totalSize(storedLayers(records, diffIds));
    const digests = [blob.digest, id, ...layers.map(({ digest }) => digest)];
    records.putImage({ id, config: configDescriptor, manifest, size, parent: undefined }, digests);
    owners.set(blob.digest, id);
    made.push(id);
  }
  // An index is kept with the image that was chosen from it.
  for (const { digest, manifests } of indexes) {
    const owner = manifests.map((item) => owners.get(item.digest)).find((id) => id !== undefined);
    const record = owner && records.image(owner);
    if (record) records.putImage(record, [digest]);
  }
  return made;
}

function read(bytes: Buffer): ReturnType<typeof parseManifestDocument> | undefined {
  if (bytes[0] !== 0x7b || !looksLikeOne.test(bytes.toString('latin1'))) return undefined;
  try {
    return parseManifestDocument(bytes, mediaTypeOf(bytes));
  } catch {
    return undefined;
  }
}

function mediaTypeOf(bytes: Buffer): string {
  const value = JSON.parse(bytes.toString()) as {
    readonly mediaType?: unknown;
    readonly manifests?: unknown;
  };
  if (typeof value.mediaType === 'string') return value.mediaType;
  const kind = Array.isArray(value.manifests) ? 'index' : 'manifest';
  return `application/vnd.oci.image.${kind}.v1+json`;
}
