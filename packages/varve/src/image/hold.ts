import type { ContentStore, Lease } from '../content/index.ts';
import { type ChainID, chainIds, type DiffID, type Digest } from '../oci/index.ts';
import type { Pins } from './pins.ts';

/** What operations keep from collection until they end. */
export interface HoldContext {
  readonly content: ContentStore;
  readonly pinnedLayers: Pins<DiffID>;
  readonly pinnedSnapshots: Pins<ChainID>;
}

/** Keeps blobs, layers and snapshots that one operation needs, from before it looks for them until its record is written. */
export class Hold implements Lease {
  readonly #context: HoldContext;
  readonly #blobs: Lease;
  readonly #layers: DiffID[] = [];
  readonly #snapshots: ChainID[] = [];

  constructor(context: HoldContext) {
    this.#context = context;
    this.#blobs = context.content.lease();
  }

  /** Holds a blob. */
  add(digest: Digest): void {
    this.#blobs.add(digest);
  }

  /** Holds the layers of an image, bottom first, and the snapshots they unpack to. */
  addLayers(diffIds: readonly DiffID[]): void {
    for (const diffId of diffIds) {
      this.#context.pinnedLayers.add(diffId);
      this.#layers.push(diffId);
    }
    for (const chainId of chainIds(diffIds)) {
      this.#context.pinnedSnapshots.add(chainId);
      this.#snapshots.push(chainId);
    }
  }

  release(): void {
    this.#blobs.release();
    for (const diffId of this.#layers.splice(0)) this.#context.pinnedLayers.release(diffId);
    for (const chainId of this.#snapshots.splice(0)) this.#context.pinnedSnapshots.release(chainId);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
