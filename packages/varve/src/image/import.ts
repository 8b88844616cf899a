import type { Readable } from 'node:stream';
import { onceOnly } from '../content/index.ts';
import { plainStream } from '../layer/index.ts';
import { type ContainerConfig, type Digest, hostPlatform, type Platform } from '../oci/index.ts';
import { createImage } from './create.ts';
import type { Hold } from './hold.ts';
import { packLayer } from './pack-layer.ts';
import { type UnpackContext, unpackLayers } from './unpack.ts';

export interface ImportOptions {
  readonly reference?: string;
  readonly message?: string;
  readonly config?: ContainerConfig;
  readonly platform?: Platform;
  readonly signal?: AbortSignal;
}

/** Makes an image of one layer from a tar of a root file system, compressed or not (`docker import`). */
export async function importImage(
  context: UnpackContext,
  hold: Hold,
  archive: Readable,
  options: ImportOptions,
): Promise<Digest> {
  const ingest = await context.content.ingest(`${onceOnly}import:${crypto.randomUUID()}`);
  let tar: Digest;
  try {
    for await (const chunk of plainStream(archive)) {
      options.signal?.throwIfAborted();
      await ingest.write(chunk);
    }
    ({ digest: tar } = await ingest.commit());
    hold.add(tar);
  } catch (error) {
    await ingest.abort();
    throw error;
  }
  const { diffId, ...blob } = await packLayer(context.content, hold, tar, undefined, options.signal);
  hold.addLayers([diffId]);
  await unpackLayers(
    context,
    [{ diffId, blob, ready: Promise.resolve() }],
    options.signal === undefined ? {} : { signal: options.signal },
  );
  const created = new Date().toISOString();
  return createImage(context.records, context.content, {
    config: {
      created,
      ...(options.platform ?? hostPlatform()),
      config: options.config ?? {},
      rootfs: { type: 'layers', diff_ids: [diffId] },
      history: [{ created, comment: options.message || 'Imported from -' }],
    },
  });
}
