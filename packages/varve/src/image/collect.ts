import { isKind, VarveError } from '../base/index.ts';
import type { ContentStore } from '../content/index.ts';
import { type ChainID, chainIds, type DiffID, type Digest, type ImageConfig } from '../oci/index.ts';
import type { StorageDriver } from '../storage/index.ts';
import type { Pins, PinWatch } from './pins.ts';
import type { ImageRecords } from './records.ts';

export interface CollectContext {
  readonly records: ImageRecords;
  readonly content: ContentStore;
  readonly driver: StorageDriver;
  readonly pinnedSnapshots: Pins<ChainID>;
  readonly pinnedLayers: Pins<DiffID>;
  /** Stacks of layers that others need: build cache, builds under way. */
  readonly layerRoots: readonly (() => Iterable<readonly DiffID[]>)[];
  readonly config: (id: Digest) => ImageConfig;
}

export interface CollectOptions {
  /** Also downloads that were broken off and could be taken up again; without it they get a day. */
  readonly abandoned?: boolean;
}

/**
 * Deletes snapshots, layer records and blobs that no image, root, pin or lease needs: mark, then sweep from the top
 * of the stacks down. An active snapshot holds its parents by being their child.
 * @returns bytes of blobs freed.
 */
export async function collect(context: CollectContext, options: CollectOptions = {}): Promise<number> {
  const { records, content, driver } = context;
  using pinnedLayers = context.pinnedLayers.watch();
  using pinnedSnapshots = context.pinnedSnapshots.watch();
  const neededChains = new Set<ChainID>();
  const neededLayers = new Set<DiffID>();
  const mark = (diffIds: readonly DiffID[]): void => {
    for (const diffId of diffIds) neededLayers.add(diffId);
    for (const chainId of chainIds(diffIds)) neededChains.add(chainId);
  };
  for (const image of records.images()) mark(layersOf(context, image.id));
  for (const root of context.layerRoots) for (const diffIds of root()) mark(diffIds);

  const kept = await removeSnapshots(driver, neededChains, pinnedSnapshots);

  // A layer under a snapshot that had to stay is still needed to save or push what is on top of it.
  const roots = records.blobs();
  records.transaction(() => {
    for (const layer of records.layers()) {
      const { digest } = layer.blob;
      const needed =
        neededLayers.has(layer.diffId) || pinnedLayers.has(layer.diffId) || kept.has(layer.diffId);
      // A root although no config names it: that of an image whose config was lost.
      if (needed || roots.has(digest)) roots.add(digest);
      else {
        records.deleteLayer(layer.diffId);
        records.deleteOrigins(layer.blob.digest);
      }
    }
  });
  const { bytes } = await content.collect(roots, options.abandoned === true ? { ingestAge: 0 } : {});
  return bytes;
}

/** An image whose config is damaged is still there to be pulled again or removed; its blobs are kept. */
function layersOf({ config }: CollectContext, id: Digest): readonly DiffID[] {
  try {
    return config(id).rootfs.diff_ids;
  } catch (error) {
    if (VarveError.is(error)) return [];
    throw error;
  }
}

/** Removes committed snapshots that are not needed, children first. @returns keys of those that are in use after all. */
async function removeSnapshots(
  driver: StorageDriver,
  needed: ReadonlySet<string>,
  pinned: PinWatch<ChainID>,
): Promise<Set<string>> {
  const snapshots = [...driver.list()];
  const children = new Map<string, number>();
  for (const { parent } of snapshots)
    if (parent !== undefined) children.set(parent, (children.get(parent) ?? 0) + 1);
  const doomed = new Map(
    snapshots
      .filter(({ kind, key }) => kind === 'committed' && !needed.has(key))
      .map((snapshot) => [snapshot.key, snapshot]),
  );
  const queue = [...doomed.values()].filter(({ key }) => !children.has(key));
  for (let snapshot = queue.pop(); snapshot !== undefined; snapshot = queue.pop()) {
    if (pinned.has(snapshot.key as ChainID)) continue;
    try {
      await driver.remove(snapshot.key);
    } catch (error) {
      if (isKind(error, 'conflict')) continue;
      throw error;
    }
    doomed.delete(snapshot.key);
    const { parent } = snapshot;
    if (parent === undefined) continue;
    const left = (children.get(parent) ?? 1) - 1;
    children.set(parent, left);
    const next = doomed.get(parent);
    if (left === 0 && next) queue.push(next);
  }
  return new Set(doomed.keys());
}
