import { existsSync, lstatSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseBytes } from '../../../base/index.ts';
import { applyLayer, type RootAttributes } from '../../../layer/index.ts';
import { filesystemName } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { parseBooleanOption, readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor, makeRootFolder } from '../../tree/folders.ts';
import { copyRootAttributes, markRoot, wasRootSet } from '../../tree/root-attributes.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import type { LayerToApply, Probe } from '../../types.ts';
import { findWhiteoutsInBackground } from '../../worker/jobs.ts';
import { layout, linkFolder, linkName } from './layout.ts';
import { probeOverlay } from './probe.ts';
import { settleLayer } from './settle.ts';
import { StackDriver } from './stack-driver.ts';

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
export class Overlay2Driver extends StackDriver {
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
    settleLayer(diff, unsettled, this.diffsFrom(layer.parent));
    return { applied, details: plainRoot };
  }

  protected rootOf(top: ChainID | undefined): RootAttributes | undefined {
    const source = this.tree.chain(top).find(({ plainRoot }) => !plainRoot);
    if (!source) return undefined;
    const { mode, uid, gid } = lstatSync(layout(source).diff);
    return { mode: mode & 0o7777, uid, gid };
  }

  protected override readyStack(snapshot: Snapshot, below: readonly Snapshot[]): void {
    this.#settle([snapshot, ...below]);
    if (snapshot.kind === 'committed') this.#inheritRoot([snapshot, ...below]);
  }

  protected override dropped(snapshot: Snapshot): void {
    rmSync(join(this.tree.folder, linkFolder, linkName(snapshot.id)), { force: true });
  }

  /** Does what had to wait for the layers below: before the first mount, since a mounted layer must not change. */
  #settle(stack: readonly Snapshot[]): void {
    for (const layer of stack.toReversed()) {
      const { id, unsettled, parent } = layer;
      if (!unsettled || this.#settled.has(id)) continue;
      settleLayer(layout(layer).diff, unsettled, this.diffsFrom(parent));
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
