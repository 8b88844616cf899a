import { rm } from 'node:fs/promises';
import { VarveError } from '../base/index.ts';
import type { ContentStore, Lease } from '../content/index.ts';
import { compressLayer } from '../layer/index.ts';
import type { Descriptor, DiffID, Digest } from '../oci/index.ts';

/**
 * Turns a layer tar that came without a media type (docker-archive, import) into a gzip blob, as Docker pushes it,
 * checking its DiffID on the way. The tar itself is then nobody's and goes at the next collection.
 * @throws `data-loss` `DIFFID_MISMATCH`.
 */
export async function packLayer(
  content: ContentStore,
  lease: Lease,
  tar: Digest,
  diffId: DiffID | undefined,
  signal: AbortSignal | undefined,
): Promise<Descriptor & { readonly diffId: DiffID }> {
  const output = content.temporaryPath();
  const layer = await compressLayer(
    { path: content.path(tar), compression: 'auto' },
    output,
    'gzip',
    signal === undefined ? {} : { signal },
  );
  if (diffId !== undefined && layer.diffId !== diffId) {
    await rm(output, { force: true });
    throw new VarveError(
      'data-loss',
      'DIFFID_MISMATCH',
      `layer hashes to ${layer.diffId}, the config names ${diffId}`,
      {
        subject: diffId,
      },
    );
  }
  lease.add(layer.digest);
  await content.adopt(output, { digest: layer.digest, size: layer.blobSize });
  return { mediaType: layer.mediaType, digest: layer.digest, size: layer.blobSize, diffId: layer.diffId };
}
