import { mapLimit, VarveError } from '../base/index.ts';
import type { ContentStore } from '../content/index.ts';
import type { Descriptor } from '../oci/index.ts';
import { type ChainID, chainIds, type DiffID, layerCompression } from '../oci/index.ts';
import type { StorageDriver } from '../storage/index.ts';
import { Hold, type HoldContext } from './hold.ts';
import type { ImageRecords } from './records.ts';
import type { StoredLayer } from './types.ts';

/** Layers unpacked at the same time: one worker for each of two cores; more only compete for the disk. */
const unpackLimit = 2;

export interface UnpackContext extends HoldContext {
  readonly records: ImageRecords;
  readonly content: ContentStore;
  readonly driver: StorageDriver;
}

/** One layer of an image on its way into the storage driver. */
export interface LayerToUnpack {
  readonly diffId: DiffID;
  readonly blob: Descriptor;
  /** Resolves when the blob is in the content store. */
  readonly ready: Promise<unknown>;
}

export interface UnpackObserver {
  readonly signal?: AbortSignal;
  /** Called when a layer's unpacking begins and when it is committed. */
  readonly onLayer?: (layer: LayerToUnpack, state: 'extracting' | 'complete') => void;
}

/**
 * Unpacks layers as their blobs arrive, several at once where the driver keeps them apart, and records each.
 * @returns the ChainID of the top one.
 */
export async function unpackLayers(
  context: UnpackContext,
  layers: readonly LayerToUnpack[],
  { signal, onLayer }: UnpackObserver = {},
): Promise<ChainID | undefined> {
  const { records, content, driver } = context;
  const diffIds = layers.map((layer) => layer.diffId);
  const chain = chainIds(diffIds);
  using hold = new Hold(context);
  hold.addLayers(diffIds);
  await mapLimit(layers, driver.independentLayers ? unpackLimit : 1, async (layer, index) => {
    await layer.ready;
    const chainId = chain[index] as ChainID;
    if (driver.has(chainId) && records.layer(layer.diffId) !== undefined) {
      onLayer?.(layer, 'complete');
      return;
    }
    onLayer?.(layer, 'extracting');
    const { size, tarSize } = await driver.apply(
      {
        chainId,
        parent: chain[index - 1],
        diffId: layer.diffId,
        path: content.path(layer.blob.digest),
        compression: layerCompression(layer.blob.mediaType) ?? 'auto',
      },
      signal === undefined ? {} : { signal },
    );
    records.putLayer({ diffId: layer.diffId, blob: layer.blob, size, tarSize });
    onLayer?.(layer, 'complete');
  });
  return chain.at(-1);
}

/** The recorded layers of an image. @throws `data-loss` when one is missing. */
export function storedLayers(records: ImageRecords, diffIds: readonly DiffID[]): StoredLayer[] {
  return diffIds.map((diffId) => {
    const layer = records.layer(diffId);
    if (layer) return layer;
    throw new VarveError('data-loss', 'LAYER_MISSING', `layer ${diffId} is not in the store`, {
      subject: diffId,
      hint: 'pull the image again',
    });
  });
}
