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
): Promise<Digest> {
  const layers = storedLayers(records, image.config.rootfs.diff_ids);
  using lease = content.lease();
  const config = await writeJson(content, lease, mediaTypes.ociConfig, image.config);
  const existing = records.image(config.digest);
  const manifest =
    existing?.manifest ??
    (await writeJson(content, lease, mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers: layers.map((layer) => layer.blob),
    } satisfies Manifest));
  records.putImage({ id: config.digest, config, manifest, size: totalSize(layers), parent: image.parent }, [
    config.digest,
    manifest.digest,
    ...layers.map((layer) => layer.blob.digest),
  ]);
  return config.digest;
}

/** Bytes of file content of all layers. */
export function totalSize(layers: readonly StoredLayer[]): number {
  return layers.reduce((sum, layer) => sum + layer.size, 0);
}

/** Leased before it is written: it may be there already, and about to be collected. */
async function writeJson(
  content: ContentStore,
  lease: Lease,
  mediaType: string,
  value: object,
): Promise<Descriptor> {
  const bytes = encodeJson(value);
  lease.add(digestOf(bytes));
  const { digest, size } = await content.write(bytes);
  return { mediaType, digest, size };
}
