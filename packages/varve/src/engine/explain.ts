import {
  buildStack,
  explainPath,
  type LayerEntry,
  layerInstructions,
  type PathExplanation,
  type Stack,
  type WasteLedger,
  wasteLedger,
} from '../explain/index.ts';
import type { LocalImage } from '../image/index.ts';
import {
  type ChainID,
  chainIds,
  type Descriptor,
  type DiffID,
  familiarReference,
  parseReference,
} from '../oci/index.ts';
import type { EngineCore } from './core.ts';
import { layerEntries } from './layer-entries.ts';

/** Entries of layers read lately, so that asking for several paths of an image reads it once; some 200 bytes each. */
const entryLimit = 300_000;

class EntryCache {
  readonly #layers = new Map<DiffID, readonly LayerEntry[]>();

  async get(diffId: DiffID, read: () => Promise<readonly LayerEntry[]>): Promise<readonly LayerEntry[]> {
    const known = this.#layers.get(diffId);
    if (known) {
      this.#layers.delete(diffId);
      this.#layers.set(diffId, known);
      return known;
    }
    const entries = await read();
    this.#layers.set(diffId, entries);
    let total = 0;
    for (const held of this.#layers.values()) total += held.length;
    for (const [oldest, held] of this.#layers) {
      if (total <= entryLimit || this.#layers.size === 1) break;
      this.#layers.delete(oldest);
      total -= held.length;
    }
    return entries;
  }
}

const cache = new EntryCache();

async function stackOf(core: EngineCore, image: LocalImage, signal: AbortSignal | undefined): Promise<Stack> {
  const instructions = layerInstructions(image.config);
  const layers = [];
  for (const [index, { diffId, blob }] of core.images.layers(image).entries()) {
    const entries = await cache.get(diffId, () => layerEntries(core.content.path(blob.digest), signal));
    const instruction = instructions[index];
    layers.push({ entries, diffId, ...(instruction === undefined ? {} : { instruction }) });
  }
  return buildStack({ layers });
}

/** Where a path of an image comes from, and why. @throws `not-found` for the image. */
export async function explainImagePath(
  core: EngineCore,
  name: string,
  path: string,
  signal?: AbortSignal,
): Promise<PathExplanation> {
  return explainPath(await stackOf(core, core.images.resolve(name), signal), path);
}

/** Where an image's bytes go, to the byte. @throws `not-found` for the image. */
export async function explainImageSize(
  core: EngineCore,
  name: string,
  signal?: AbortSignal,
): Promise<WasteLedger> {
  return wasteLedger(await stackOf(core, core.images.resolve(name), signal));
}

/** One layer of an image with every name it goes by. */
export interface ImageLayer {
  readonly index: number;
  readonly instruction: string | undefined;
  readonly diffId: DiffID;
  readonly chainId: ChainID;
  readonly blob: Descriptor;
  /** Bytes of file content. */
  readonly size: number;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** Other local images that share the stack up to this layer, by familiar name or id. */
  readonly sharedWith: readonly string[];
}

/** An image's layers, bottom first. @throws `not-found` for the image. */
export function imageLayers(core: EngineCore, name: string): readonly ImageLayer[] {
  const image = core.images.resolve(name);
  const instructions = layerInstructions(image.config);
  const chains = chainIds(image.config.rootfs.diff_ids);
  const others = core.images
    .list()
    .filter((other) => other.id !== image.id && (other.tags.length > 0 || other.digests.length > 0))
    .map((other) => ({
      name: other.tags[0] === undefined ? other.id : familiarReference(parseReference(other.tags[0])),
      chains: new Set(chainIds(other.config.rootfs.diff_ids)),
    }));
  return core.images.layers(image).map(({ diffId, blob, size, tarSize }, index) => {
    const chainId = chains[index] as ChainID;
    return {
      index,
      instruction: instructions[index],
      diffId,
      chainId,
      blob,
      size,
      tarSize,
      sharedWith: others.filter((other) => other.chains.has(chainId)).map((other) => other.name),
    };
  });
}
