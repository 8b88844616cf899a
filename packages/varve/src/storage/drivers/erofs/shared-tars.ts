import { linkSync, statSync } from 'node:fs';
import type { DiffID } from '../../../oci/index.ts';
import type { Snapshot, SnapshotTree } from '../../tree/snapshot-tree.ts';
import type { LayerToApply } from '../../types.ts';
import { layout } from './layout.ts';

interface Applying {
  readonly chainId: string;
  readonly ended: Promise<unknown>;
}

/**
 * One archive for all layers of one DiffID: the same layer on different ones below, and the empty layer of every other
 * image. Each has its name of the file, and the last name that goes takes it along: no counting, nothing to leak.
 */
export class SharedTars {
  readonly #tree: SnapshotTree;
  readonly #applying = new Map<DiffID, Applying>();

  constructor(tree: SnapshotTree) {
    this.#tree = tree;
  }

  /**
   * Applies a layer after another that is being applied with the same archive, so that it can {@link SharedTars.borrow} it.
   */
  async apply<T>(layer: LayerToApply, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const { diffId, chainId } = layer;
    const other = this.#applying.get(diffId);
    if (other && other.chainId !== chainId) await ends(other.ended, signal);
    const done = work();
    const mine = { chainId, ended: done };
    if (!this.#applying.has(diffId)) this.#applying.set(diffId, mine);
    try {
      return await done;
    } finally {
      if (this.#applying.get(diffId) === mine) this.#applying.delete(diffId);
    }
  }

  /** Gives another layer's archive a second name, `tar`; false when there is none to be had. */
  borrow({ diffId, chainId }: LayerToApply, tar: string): boolean {
    for (const { key, path } of this.#holders(diffId)) {
      if (key === chainId) continue;
      try {
        linkSync(layout(path).tar, tar);
        return true;
      } catch {
        // It is a folder, is being removed, or has all the names it can have.
      }
    }
    return false;
  }

  /** Bytes on disk of a layer's archive; 0 for all of its holders but one. */
  bytes({ id, diffId, path }: Snapshot): number {
    const { tar } = layout(path);
    const { blocks, nlink } = statSync(tar);
    const isFirst =
      nlink === 1 ||
      diffId === undefined ||
      !this.#holders(diffId).some((other) => other.id < id && sharesTar(other, path));
    return isFirst ? blocks * 512 : 0;
  }

  #holders(diffId: DiffID): Snapshot[] {
    return [...this.#tree.values()].filter((other) => other.diffId === diffId && other.kind === 'committed');
  }
}

function sharesTar(other: Snapshot, path: string): boolean {
  const [a, b] = [other.path, path].map((folder) => statSync(layout(folder).tar, { throwIfNoEntry: false }));
  return a !== undefined && a.ino === b?.ino;
}

async function ends(work: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => resolve();
    work.then(end, end);
    signal?.addEventListener('abort', end, { once: true });
  });
}
