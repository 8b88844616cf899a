import { existsSync, mkdirSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseBytes, VarveError } from '../../../base/index.ts';
import { applyLayer, type DiffSource } from '../../../layer/index.ts';
import { bindMount, filesystemName, unmountInBackground } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { parseBooleanOption, readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor, makeRootFolder } from '../../tree/folders.ts';
import { copyRootAttributes, markRoot, wasRootSet } from '../../tree/root-attributes.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, Probe } from '../../types.ts';
import { findWhiteoutsInBackground } from '../../worker/jobs.ts';
import { layout, linkFolder, linkName } from './layout.ts';
import { mountOverlay } from './overlay-mount.ts';
import { probeOverlay } from './probe.ts';
import { settleLayer } from './settle.ts';

/**
 * Layers as folders in overlayfs's own form, stacked by the kernel. On disk, under `<root>/overlay2`:
 *
 *     <id>/snapshot.json   the record: key, kind, parent (id: 64 random hex digits)
 *     <id>/diff/           the layer's own files; whiteouts are character devices 0/0, `trusted.overlay.opaque`
 *     <id>/work/           overlayfs's scratch, while active
 *     <id>/merged/         mount point, while mounted
 *     l/<26 characters>    -> ../<id>/diff, short names for old kernels
 *     staging/ trash/      being made, being deleted
 *
 * README.md beside this file tells why.
 */
export class Overlay2Driver extends TreeDriver {
  readonly name = 'overlay2';
  readonly independentLayers = true;
  readonly defaultSize: number | undefined;
  readonly #root: string;
  /** Ids of layers that {@link settleLayer} has seen since the start. */
  readonly #settled = new Set<string>();

  /**
   * @param root folder of all drivers; this one keeps to `<root>/overlay2`.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'overlay2'));
    const read = readStorageOptions('overlay2', options, {
      'overlay2.override_kernel_check': parseBooleanOption,
      'overlay2.size': parseBytes,
    });
    this.defaultSize = read['overlay2.size'] || undefined;
    this.#root = root;
  }

  async probe(): Promise<Probe> {
    return probeOverlay(this.#root);
  }

  status(): readonly (readonly [string, string])[] {
    return [
      ['Backing Filesystem', filesystemName(existingAncestor(this.#root))],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', 'false'],
    ];
  }

  metadata(key: string): Record<string, string> {
    const snapshot = this.tree.require(key);
    const { diff, work, merged } = layout(snapshot);
    const lowers = this.#diffsFrom(snapshot.parent);
    return {
      ...(lowers.length > 0 ? { LowerDir: lowers.join(':') } : {}),
      MergedDir: merged,
      UpperDir: diff,
      WorkDir: work,
    };
  }

  override async recover(): Promise<readonly string[]> {
    const report = [...(await super.recover())];
    report.push(...this.#mendLinks());
    return report;
  }

  protected async unpack(layer: LayerToApply, staging: Staging, signal: AbortSignal) {
    const { diff } = layout(staging);
    makeRootFolder(diff);
    markRoot(diff);
    // With nothing below, a whiteout hides nothing and must not be shown as the device it is.
    const whiteouts = layer.parent === undefined ? 'apply' : 'overlay';
    const applied = await applyLayer(layer, { root: diff, whiteouts }, { signal });
    const plainRoot = wasRootSet(diff) ? {} : { plainRoot: true };
    if (layer.parent === undefined) return { applied, details: plainRoot };
    const unsettled = {
      whiteouts: await findWhiteoutsInBackground(diff),
      folders: applied.impliedFolders,
    };
    if (unsettled.whiteouts.length + unsettled.folders.length === 0) return { applied, details: plainRoot };
    if (!this.tree.isWhole(layer.parent)) return { applied, details: { ...plainRoot, unsettled } };
    this.#settle(this.tree.chain(layer.parent));
    settleLayer(diff, unsettled, this.#diffsFrom(layer.parent));
    return { applied, details: plainRoot };
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { limit }: FillOptions): Promise<void> {
    const { diff, work } = layout(staging);
    makeRootFolder(diff);
    mkdirSync(work, { mode: 0o700 });
    limit([diff, work]);
    // The merged root shows the upper's own attributes.
    const root = this.tree.chain(parent).find(({ plainRoot }) => !plainRoot);
    if (root) copyRootAttributes(layout(root).diff, diff);
  }

  protected attach(snapshot: Snapshot, target: string, readOnly: boolean): void {
    const { diff, work } = layout(snapshot);
    const below = this.tree.chain(snapshot.parent);
    if (below.length === 0) {
      bindMount(diff, target, { readOnly });
      return;
    }
    const isActive = snapshot.kind === 'active';
    this.#settle([snapshot, ...below]);
    const stack = isActive ? below : [snapshot, ...below];
    if (!isActive) this.#inheritRoot(stack);
    mountOverlay({
      base: this.tree.folder,
      lowers: stack.map((layer) => ({ id: layer.id, path: layout(layer).diff })),
      ...(isActive ? { upper: { path: diff, work } } : {}),
      target,
      attributes: { readOnly },
    });
  }

  protected ownFolder(snapshot: Snapshot): string {
    return layout(snapshot).diff;
  }

  protected diffSource(snapshot: Snapshot): DiffSource {
    const lowers = this.#diffsFrom(snapshot.parent);
    return { kind: 'overlay', upper: layout(snapshot).diff, lowers };
  }

  /**
   * The upper folder is the diff, unless an overlay mounted with `redirect_dir` or `metacopy` has written there: then a
   * moved folder is an empty one with a reference, and a changed file may lack its bytes. What such a stack shows is compared
   * with what the parent shows.
   */
  protected override async withDiffSource<T>(
    snapshot: Snapshot,
    work: (source: DiffSource) => Promise<T>,
  ): Promise<T> {
    try {
      return await super.withDiffSource(snapshot, work);
    } catch (error) {
      if (!VarveError.is(error) || error.code !== 'OVERLAY_REDIRECT') throw error;
      return await this.#withViews(snapshot, work);
    }
  }

  async #withViews<T>(snapshot: Snapshot, work: (source: DiffSource) => Promise<T>): Promise<T> {
    const staging = this.tree.stage();
    const at = (name: string): string => join(staging.path, name);
    const view = (name: string, stack: readonly Snapshot[]): void => {
      mkdirSync(at(name));
      // An overlay without an upper folder takes two lower ones.
      const layers = [
        ...stack.map((layer) => ({ id: layer.id, path: layout(layer).diff })),
        { id: 'empty', path: at('empty') },
      ];
      const base = this.tree.folder;
      mountOverlay({ base, lowers: layers, target: at(name), attributes: { readOnly: true }, follow: true });
    };
    const below = this.tree.chain(snapshot.parent);
    try {
      mkdirSync(at('empty'));
      view('upper', [snapshot, ...below]);
      view('lower', below);
      return await work({ kind: 'trees', upper: at('upper'), lower: at('lower') });
    } finally {
      for (const name of ['upper', 'lower']) await unmountInBackground(at(name), { detach: true });
      this.tree.abandon(staging);
    }
  }

  protected override dropped(snapshot: Snapshot): void {
    rmSync(join(this.tree.folder, linkFolder, linkName(snapshot.id)), { force: true });
  }

  protected async seal(snapshot: Snapshot): Promise<void> {
    await rm(layout(snapshot).work, { recursive: true, force: true });
  }

  #diffsFrom(top: ChainID | undefined): string[] {
    return this.tree.chain(top).map((layer) => layout(layer).diff);
  }

  /** Does what had to wait for the layers below: before the first mount, since a mounted layer must not change. */
  #settle(stack: readonly Snapshot[]): void {
    for (const layer of stack.toReversed()) {
      const { id, unsettled, parent } = layer;
      if (!unsettled || this.#settled.has(id)) continue;
      settleLayer(layout(layer).diff, unsettled, this.#diffsFrom(parent));
      this.#settled.add(id);
    }
  }

  /**
   * A read-only view shows the root of its topmost layer. Where that layer had no entry for the root, it takes the
   * attributes of the one below, which may not have been there when it was unpacked.
   */
  #inheritRoot(stack: readonly Snapshot[]): void {
    const top = stack[0];
    const source = stack.find(({ plainRoot }) => !plainRoot);
    if (top?.plainRoot && source) copyRootAttributes(layout(source).diff, layout(top).diff);
  }

  #mendLinks(): string[] {
    const folder = join(this.tree.folder, linkFolder);
    const wanted = new Set([...this.tree.values()].map(({ id }) => linkName(id)));
    const report: string[] = [];
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      if (wanted.has(name)) continue;
      unlinkSync(join(folder, name));
      report.push(`removed the short name ${name} of a snapshot that is gone`);
    }
    return report;
  }
}
