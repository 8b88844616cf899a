import type { ContentStore, Lease } from '../content/index.ts';
import {
  type Descriptor,
  type Digest,
  digestOf,
  encodeJson,
  type Manifest,
  mediaTypes,
} from '../oci/index.ts';
import { type ImageRecords } from './records.ts';
import type { NewImage, StoredLayer } from './types.ts';
import { storedLayers } from './unpack.ts';

/**
 * Stores config and manifest of an image whose layers are known, and records it. The manifest is OCI's, over the
 * blobs as they are kept, so that every push of the image has the same digest.
 * @returns the image's id: the digest of its config.
 */
export async function createImage(
  records: ImageRecords,
  content: ContentStore,
  image: NewImage,
  options: { readonly durable?: boolean } = {},
): Promise<Digest> {
  const layers = storedLayers(records, image.config.rootfs.diff_ids);
  using lease = content.lease();
  const json = document(mediaTypes.ociConfig, image.config);
  const config = json.descriptor;
  const existing = records.image(config.digest);
  const own = ownManifest(config, layers);
  const manifest = existing?.manifest ?? own.descriptor;
  // Together, so that they wait for the disk once.
  await Promise.all([write(content, lease, json), ...(existing ? [] : [write(content, lease, own)])]);
  const blobs = [config.digest, manifest.digest, ...layers.map((layer) => layer.blob.digest)];
  records.putImage(
    { id: config.digest, config, manifest, size: totalSize(layers), parent: image.parent },
    blobs,
    options,
  );
  return config.digest;
}

function ownManifest(config: Descriptor, layers: readonly StoredLayer[]): Document {
  return document(mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: layers.map((layer) => layer.blob),
  } satisfies Manifest);
}

/** Writes the manifest that {@link createImage} gave an image once more. False when the image's is another one. */
export async function remakeManifest(
  content: ContentStore,
  image: { readonly configDescriptor: Descriptor; readonly manifest: Descriptor },
  layers: readonly StoredLayer[],
): Promise<boolean> {
  const own = ownManifest(image.configDescriptor, layers);
  if (own.descriptor.digest !== image.manifest.digest) return false;
  await content.write(own.bytes);
  return true;
}

/** Bytes of file content of all layers. */
export function totalSize(layers: readonly StoredLayer[]): number {
  return layers.reduce((sum, layer) => sum + layer.size, 0);
}

interface Document {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

function document(mediaType: string, value: object): Document {
  const bytes = encodeJson(value);
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes };
}

/** Leased before it is written: it may be there already, and about to be collected. */
async function write(content: ContentStore, lease: Lease, { descriptor, bytes }: Document): Promise<void> {
  lease.add(descriptor.digest);
  await content.write(bytes);
}
