import { imageMount } from '../quota/index.ts';
import { HeldMounts } from './held-mounts.ts';
import type { Snapshot } from './snapshot-tree.ts';

/** Images of writable layers, held by the snapshots that are mounted and by who looks into one that is not. */
export class ImageMounts extends HeldMounts {
  #views = 0;

  /** Shows a snapshot's image, if it has one, until the user releases it. */
  async show(user: string, { image, path }: Snapshot): Promise<void> {
    if (image) await this.hold(user, imageMount(path));
  }

  /** Does something with a snapshot's own files, be it mounted or not. */
  async viewing<T>(snapshot: Snapshot, work: () => Promise<T>): Promise<T> {
    // A name that no snapshot has.
    const user = `/view/${this.#views++}`;
    try {
      await this.show(user, snapshot);
      return await work();
    } finally {
      await this.release(user);
    }
  }
}
