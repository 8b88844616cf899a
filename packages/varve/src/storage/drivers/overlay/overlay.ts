import { existsSync, mkdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseBytes } from '../../../base/index.ts';
import { applyLayer, type DiffSource } from '../../../layer/index.ts';
import { bindMount, filesystemName, inFolder, mountFilesystem } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor, makeRootFolder } from '../../tree/folders.ts';
import { copyRootAttributes } from '../../tree/root-attributes.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, Probe, Usage } from '../../types.ts';
import { deleteInBackground, linkInBackground, measureInBackground } from '../../worker/jobs.ts';
import { offSwitches } from '../overlay2/overlay-mount.ts';
import { probeOverlay } from '../overlay2/probe.ts';

/**
 * The first overlay driver: an image layer is a full tree whose unchanged files are further names of the parent's, and
 * a container is an overlay of two folders. On disk, under `<root>/overlay`:
 *
 *     <id>/snapshot.json   the record: key, kind, parent (id: 64 random hex digits)
 *     <id>/root/           the full tree: committed snapshots, and active ones on nothing
 *     <id>/upper/ work/    what an active snapshot changed in its parent's tree; overlayfs's scratch
 *     <id>/merged/         mount point, while mounted
 *     staging/ trash/      being made, being deleted
 *
 * README.md beside this file tells why.
 */
export class OverlayDriver extends TreeDriver {
  readonly name = 'overlay';
  /** A layer is unpacked over links to the one below. */
  readonly independentLayers = false;
  readonly defaultSize: number | undefined;
  readonly #root: string;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/overlay`.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'overlay'));
    const read = readStorageOptions('overlay', options, { 'overlay.size': parseBytes });
    this.defaultSize = read['overlay.size'] || undefined;
    this.#root = root;
  }

  async probe(): Promise<Probe> {
    return probeOverlay(this.#root);
  }

  status(): readonly (readonly [string, string])[] {
    return [
      ['Backing Filesystem', filesystemName(existingAncestor(this.#root))],
      ['Supports d_type', 'true'],
    ];
  }

  metadata(key: string): Record<string, string> {
    const snapshot = this.tree.require(key);
    const { root, upper, work, merged } = layout(snapshot);
    const parent = overlaid(snapshot);
    if (parent === undefined) return { RootDir: root };
    return { LowerDir: this.#lower(parent), UpperDir: upper, WorkDir: work, MergedDir: merged };
  }

  override async recover(): Promise<readonly string[]> {
    const report = [...(await super.recover())];
    for (const snapshot of this.tree.values()) {
      const { root } = layout(snapshot);
      if (overlaid(snapshot) === undefined || !existsSync(root)) continue;
      await deleteInBackground(root);
      report.push(`dropped an unfinished commit (${snapshot.id.slice(0, 12)})`);
    }
    return report;
  }

  protected async unpack(layer: LayerToApply, staging: Staging, signal: AbortSignal) {
    const { root } = layout(staging);
    makeRootFolder(root);
    if (layer.parent !== undefined) await linkInBackground([this.#lower(layer.parent)], root);
    // Whatever an entry says of a name, `apply` gives it a new file and unlinks the old one: the parent's stays.
    const applied = await applyLayer(layer, { root, whiteouts: 'apply' }, { signal });
    return { applied, details: {} };
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { limit }: FillOptions): Promise<void> {
    const { root, upper, work } = layout(staging);
    if (parent === undefined) {
      makeRootFolder(root);
      limit([root]);
      return;
    }
    makeRootFolder(upper);
    mkdirSync(work, { mode: 0o700 });
    limit([upper, work]);
    // The merged root shows the upper's own attributes.
    copyRootAttributes(this.#lower(parent), upper);
  }

  protected attach(snapshot: Snapshot, target: string, readOnly: boolean): void {
    const parent = overlaid(snapshot);
    if (parent === undefined) {
      bindMount(layout(snapshot).root, target, { readOnly });
      return;
    }
    const { upper, work } = layout(snapshot);
    const below = this.tree.require(parent).id;
    // Relative names are short and need no escaping, whatever the data root is called.
    inFolder(this.tree.folder, () => {
      mountFilesystem(
        'overlay',
        [
          ['source', 'overlay'],
          ...offSwitches().map((name) => [name, 'off'] as const),
          ['lowerdir', `${below}/root`],
          ['upperdir', relative(this.tree.folder, upper)],
          ['workdir', relative(this.tree.folder, work)],
        ],
        target,
        { readOnly },
      );
    });
  }

  protected ownFolder(snapshot: Snapshot): string {
    const { root, upper } = layout(snapshot);
    return overlaid(snapshot) === undefined ? root : upper;
  }

  protected override async measure(snapshot: Snapshot): Promise<Usage> {
    const { kind, parent } = snapshot;
    const shared = kind === 'committed' && parent !== undefined ? this.#lower(parent) : undefined;
    return await measureInBackground(this.ownFolder(snapshot), shared);
  }

  protected diffSource(snapshot: Snapshot): DiffSource {
    const { root, upper } = layout(snapshot);
    const { kind, parent } = snapshot;
    if (parent === undefined) return { kind: 'trees', upper: root };
    const lower = this.#lower(parent);
    if (kind === 'committed') return { kind: 'trees', upper: root, lower };
    return { kind: 'overlay', upper, lowers: [lower] };
  }

  /** The full tree that others can stand on; the upper folder stays until the record says that this one is committed. */
  protected override async complete(snapshot: Snapshot): Promise<void> {
    if (snapshot.parent === undefined) return;
    const { root, upper } = layout(snapshot);
    if (existsSync(root)) await deleteInBackground(root);
    try {
      mkdirSync(root, { mode: 0o700 });
      await linkInBackground([upper, this.#lower(snapshot.parent)], root);
    } catch (error) {
      await deleteInBackground(root);
      throw error;
    }
  }

  protected async seal(snapshot: Snapshot): Promise<void> {
    const { upper, work } = layout(snapshot);
    for (const folder of [upper, work]) if (existsSync(folder)) await deleteInBackground(folder);
  }

  /** The tree of a committed snapshot. */
  #lower(key: ChainID): string {
    return layout(this.tree.require(key)).root;
  }
}

/** The parent on which a snapshot is an upper folder; undefined for one that is a full tree itself. */
function overlaid({ kind, parent }: Pick<Snapshot, 'kind' | 'parent'>): ChainID | undefined {
  return kind === 'active' ? parent : undefined;
}

interface Layout {
  readonly root: string;
  readonly upper: string;
  readonly work: string;
  readonly merged: string;
}

function layout({ path, own }: { readonly path: string; readonly own: string }): Layout {
  const at = (name: string): string => join(own, name);
  return { root: at('root'), upper: at('upper'), work: at('work'), merged: join(path, 'merged') };
}
