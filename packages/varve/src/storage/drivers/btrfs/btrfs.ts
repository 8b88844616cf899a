import { chmodSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, parseBytes, VarveError } from '../../../base/index.ts';
import { applyLayer, type DiffSource } from '../../../layer/index.ts';
import {
  bindMount,
  createSubvolume,
  enableBtrfsQuota,
  FilesystemSync,
  filesystemName,
  limitSubvolume,
  snapshotSubvolume,
  subvolumeUsage,
} from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor } from '../../tree/folders.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, Probe, Usage } from '../../types.ts';
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
  /** The least size that a container may ask for; quotas are turned on at the start where it is given. */
  readonly #minSpace: number | undefined;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/btrfs`.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'btrfs'));
    const read = readStorageOptions('btrfs', options, { 'btrfs.min_space': parseBytes });
    this.#minSpace = read['btrfs.min_space'];
    this.#root = root;
  }

  async probe(): Promise<Probe> {
    const probe = await probeBtrfs(this.#root);
    if (probe.ok && this.#minSpace !== undefined) await enableBtrfsQuota(existingAncestor(this.#root));
    return probe;
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
    const least = this.#minSpace ?? 0;
    if (size !== undefined && size < least) {
      throw new VarveError(
        'invalid',
        'STORAGE_SIZE_TOO_SMALL',
        `btrfs: storage size cannot be less than ${formatBytes(least, 4)}`,
      );
    }
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

  /** Turns quotas on where they are off, as Docker does: who asks for a limit cannot have it otherwise. */
  async #limit(path: string, size: number): Promise<void> {
    try {
      await limitSubvolume(path, size);
    } catch (error) {
      if (!isWithoutQuota(error)) throw error;
      await enableBtrfsQuota(path);
      await limitSubvolume(path, size);
    }
  }

  /** A limit would go on to every container on top. */
  protected override async complete(snapshot: Snapshot): Promise<void> {
    try {
      await limitSubvolume(subvolume(snapshot), undefined);
    } catch (error) {
      if (!isWithoutQuota(error)) throw error;
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
    const lower = subvolume(this.tree.require(snapshot.parent));
    // The folder was made before the subvolume in it.
    return { kind: 'trees', upper, lower, snapshotAt: lstatSync(snapshot.path).birthtimeMs };
  }

  /** Without quotas, blocks that are shared with other snapshots count as its own. */
  protected override async measure(snapshot: Snapshot): Promise<Usage> {
    const usage = await super.measure(snapshot);
    const counted = subvolumeUsage(subvolume(snapshot));
    return counted ? { ...usage, bytes: counted.exclusive } : usage;
  }

  protected async seal(): Promise<void> {}
}

const subvolumeName = 'root';

/** What limiting a subvolume gives while quotas are off; the second one before Linux 5.9. */
function isWithoutQuota(error: unknown): boolean {
  return VarveError.is(error) && ['ENOTCONN', 'EINVAL'].includes(error.code);
}

function subvolume(place: { readonly path: string }): string {
  return join(place.path, subvolumeName);
}
