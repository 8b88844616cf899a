import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import { applyLayer, type DiffSource } from '../../../layer/index.ts';
import {
  bindMount,
  createSubvolume,
  FilesystemSync,
  filesystemName,
  limitSubvolume,
  snapshotSubvolume,
} from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor } from '../../tree/folders.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, Probe } from '../../types.ts';
import { probeBtrfs } from './probe.ts';

/**
 * Every snapshot is a subvolume of btrfs: the full tree, made of its parent's in one step and sharing its blocks. On disk,
 * under `<root>/btrfs`:
 *
 *     <id>/snapshot.json   the record: key, kind, parent (id: 64 random hex digits)
 *     <id>/root/           the subvolume
 *     <id>/merged/         mount point (a bind of root), while mounted
 *     staging/ trash/      being made, being deleted
 *
 * README.md beside this file tells why.
 */
export class BtrfsDriver extends TreeDriver {
  readonly name = 'btrfs';
  /** A layer is unpacked over a snapshot of the one below. */
  readonly independentLayers = false;
  readonly #root: string;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/btrfs`.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'btrfs'));
    readStorageOptions('btrfs', options, {});
    this.#root = root;
  }

  async probe(): Promise<Probe> {
    return await probeBtrfs(this.#root);
  }

  status(): readonly (readonly [string, string])[] {
    return [['Backing Filesystem', filesystemName(existingAncestor(this.#root))]];
  }

  metadata(key: string): Record<string, string> {
    return { MergedDir: subvolume(this.tree.require(key)) };
  }

  protected async unpack(layer: LayerToApply, staging: Staging, signal: AbortSignal) {
    await this.#start(staging, layer.parent);
    const applied = await applyLayer(layer, { root: subvolume(staging), whiteouts: 'apply' }, { signal });
    return { applied, details: {} };
  }

  protected override get limitsItself(): boolean {
    return true;
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { size }: FillOptions): Promise<void> {
    using filesystem = new FilesystemSync(staging.path);
    await this.#start(staging, parent);
    if (size !== undefined) await this.#limit(subvolume(staging), size);
    // A snapshot is on disk already; a new subvolume and a limit are not.
    if (parent === undefined || size !== undefined) await filesystem.sync();
  }

  async #start(staging: Staging, parent: ChainID | undefined): Promise<void> {
    if (parent === undefined) {
      await createSubvolume(staging.path, subvolumeName);
      chmodSync(subvolume(staging), 0o755);
    } else {
      await snapshotSubvolume(subvolume(this.tree.require(parent)), staging.path, subvolumeName);
    }
  }

  async #limit(path: string, size: number): Promise<void> {
    try {
      await limitSubvolume(path, size);
    } catch (error) {
      if (!VarveError.is(error) || !['ENOTCONN', 'EINVAL'].includes(error.code)) throw error;
      throw new VarveError(
        'not-implemented',
        'STORAGE_OPT_UNSUPPORTED',
        `--storage-opt size needs quotas, which are off on the btrfs file system of ${this.#root}`,
        { hint: `turn them on with: btrfs quota enable ${this.#root}`, cause: error },
      );
    }
  }

  protected attach(snapshot: Snapshot, target: string, readOnly: boolean): void {
    bindMount(subvolume(snapshot), target, { readOnly });
  }

  protected ownFolder(snapshot: Snapshot): string {
    return subvolume(snapshot);
  }

  protected diffSource(snapshot: Snapshot): DiffSource {
    const upper = subvolume(snapshot);
    if (snapshot.parent === undefined) return { kind: 'trees', upper };
    return { kind: 'trees', upper, lower: subvolume(this.tree.require(snapshot.parent)) };
  }

  protected async seal(): Promise<void> {}
}

const subvolumeName = 'root';

function subvolume(place: { readonly path: string }): string {
  return join(place.path, subvolumeName);
}
