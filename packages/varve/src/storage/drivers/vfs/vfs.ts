import { join } from 'node:path';
import { parseBytes } from '../../../base/index.ts';
import { applyLayer, type DiffSource } from '../../../layer/index.ts';
import { bindMount, FilesystemSync, filesystemName } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor, makeRootFolder } from '../../tree/folders.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, Probe } from '../../types.ts';
import { copyInBackground } from '../../worker/jobs.ts';

/**
 * Every snapshot is a whole tree of its own: slow and large, unless the file system shares blocks (FICLONE: XFS,
 * btrfs), but it works on any. On disk, under `<root>/vfs`:
 *
 *     <id>/snapshot.json   the record: key, kind, parent (id: 64 random hex digits)
 *     <id>/root/           the full tree: the parent's, copied, and this layer's changes
 *     <id>/merged/         mount point (a bind of root), while mounted
 *     staging/ trash/      being made, being deleted
 */
export class VfsDriver extends TreeDriver {
  readonly name = 'vfs';
  /** A layer is unpacked over a copy of the one below. */
  readonly independentLayers = false;
  readonly copiesParents = true;
  readonly defaultSize: number | undefined;
  readonly #root: string;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/vfs`.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'vfs'));
    const read = readStorageOptions('vfs', options, { size: parseBytes });
    this.defaultSize = read.size || undefined;
    this.#root = root;
  }

  async probe(): Promise<Probe> {
    if (process.geteuid?.() !== 0) return { ok: false, reason: 'keeping owners and devices needs root' };
    return { ok: true };
  }

  status(): readonly (readonly [string, string])[] {
    return [['Backing Filesystem', filesystemName(existingAncestor(this.#root))]];
  }

  metadata(key: string): Record<string, string> {
    return { MergedDir: tree(this.tree.require(key)) };
  }

  protected async unpack(layer: LayerToApply, staging: Staging, signal: AbortSignal) {
    await this.#copyParent(staging, layer.parent);
    const applied = await applyLayer(layer, { root: tree(staging), whiteouts: 'apply' }, { signal });
    return { applied, details: {} };
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { limit }: FillOptions): Promise<void> {
    using filesystem = new FilesystemSync(staging.own);
    await this.#copyParent(staging, parent, limit);
    // Power loss must not leave the image's own files empty.
    await filesystem.sync();
  }

  async #copyParent(
    staging: Staging,
    parent: ChainID | undefined,
    limit?: FillOptions['limit'],
  ): Promise<void> {
    makeRootFolder(tree(staging));
    limit?.([tree(staging)]);
    if (parent !== undefined) await copyInBackground(tree(this.tree.require(parent)), tree(staging));
  }

  protected attach(snapshot: Snapshot, target: string, readOnly: boolean): void {
    bindMount(tree(snapshot), target, { readOnly });
  }

  protected ownFolder(snapshot: Snapshot): string {
    return tree(snapshot);
  }

  protected diffSource(snapshot: Snapshot): DiffSource {
    const upper = tree(snapshot);
    if (snapshot.parent === undefined) return { kind: 'trees', upper };
    return { kind: 'trees', upper, lower: tree(this.tree.require(snapshot.parent)) };
  }

  protected async seal(): Promise<void> {}
}

function tree(place: { readonly own: string }): string {
  return join(place.own, 'root');
}
