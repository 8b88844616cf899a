import { existsSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { applyLayer, type DiffSource } from '../../../layer/index.ts';
import { bindMount, filesystemName, mountsBelow, unmount } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor, makeRootFolder } from '../../tree/folders.ts';
import { copyRootAttributes, markRoot, wasRootSet } from '../../tree/root-attributes.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, OperationOptions, Probe, Usage } from '../../types.ts';
import { measureInBackground } from '../../worker/jobs.ts';
import { mountKernelAufs } from './kernel-aufs.ts';
import { addDockerNames, dockerNames, layout, removeDockerNames } from './layout.ts';
import { probeAufs, unionKind } from './probe.ts';
import { settleLayer } from './settle.ts';
import { branchFiles } from './union/names.ts';
import { isServed, mountUnion } from './union-mount.ts';

/** How long a server may take to close what an unmounted union had open; longer only while files in it are in use. */
const closeDeadlineMs = 2000;

/**
 * Layers as folders in AUFS's own form, which is that of a layer's tar, stacked by the kernel's AUFS or by a FUSE server of
 * ours. On disk, under `<root>/aufs`:
 *
 *     <id>/snapshot.json   the record: key, kind, parent (id: 64 random hex digits)
 *     <id>/diff/           the branch: the layer's own files, `.wh.NAME`, `.wh..wh..opq`
 *     <id>/merged/         mount point, while mounted
 *     <id>/server          locked by the FUSE server of the mount while it lives; its pid
 *     diff/<id>            -> ../<id>/diff      Docker's names: they follow from the records and are mended at start
 *     mnt/<id>             -> ../<id>/merged
 *     layers/<id>          text: the ids it stands on, from the top down
 *     staging/ trash/      being made, being deleted
 *
 * Docker's tree has no place that appears or goes in one rename, which is how a snapshot is made and removed here; so its
 * names are links. README.md beside this file tells why.
 */
export class AufsDriver extends TreeDriver {
  readonly name = 'aufs';
  /** `layers/<id>` names what a layer stands on. */
  readonly independentLayers = false;
  readonly #root: string;
  readonly #passthrough: boolean;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/aufs`.
   * @param union.passthrough false to have the FUSE server read and write every file itself, which is slower.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(
    root: string,
    options: readonly StorageOption[] = [],
    union: { readonly passthrough?: boolean } = {},
  ) {
    super(join(root, 'aufs'));
    readStorageOptions('aufs', options, {});
    this.#root = root;
    this.#passthrough = union.passthrough ?? true;
  }

  async probe(): Promise<Probe> {
    return await probeAufs(this.#root);
  }

  status(): readonly (readonly [string, string])[] {
    const dirs = [...this.tree.values()].length;
    const kind = unionKind() === 'kernel' ? 'kernel aufs' : 'FUSE server in user space';
    return [
      ['Backing Filesystem', filesystemName(existingAncestor(this.#root))],
      ['Root Dir', this.tree.folder],
      ['Dirs', String(dirs)],
      ['Dirperm1 Supported', 'true'],
      ['Union', kind],
    ];
  }

  metadata(key: string): Record<string, string> {
    const snapshot = this.tree.require(key);
    const { diff, merged } = layout(snapshot);
    const lowers = this.#diffsFrom(snapshot.parent);
    return {
      ...(lowers.length > 0 ? { LowerDir: lowers.join(':') } : {}),
      MergedDir: merged,
      UpperDir: diff,
    };
  }

  override async apply(
    layer: LayerToApply,
    options: OperationOptions = {},
  ): Promise<{ readonly size: number; readonly tarSize: number }> {
    const sizes = await super.apply(layer, options);
    this.#addNames(layer.chainId);
    return sizes;
  }

  override async prepare(
    key: string,
    parent: ChainID | undefined,
    options: { readonly size?: number } = {},
  ): Promise<void> {
    await super.prepare(key, parent, options);
    this.#addNames(key);
  }

  override async mount(key: string, options: { readonly readOnly?: boolean } = {}): Promise<string> {
    const snapshot = this.tree.get(key);
    if (snapshot) this.#dropDead(snapshot);
    return await super.mount(key, options);
  }

  override async recover(): Promise<readonly string[]> {
    const report = [...(await super.recover())];
    for (const snapshot of this.tree.values()) {
      if (!this.#dropDead(snapshot)) continue;
      report.push(`unmounted ${layout(snapshot).merged}, whose server is dead`);
    }
    report.push(...this.#mendNames());
    return report;
  }

  protected async unpack(layer: LayerToApply, staging: Staging, signal: AbortSignal) {
    const { diff } = layout(staging);
    makeRootFolder(diff);
    markRoot(diff);
    // With nothing below, a whiteout hides nothing.
    const whiteouts = layer.parent === undefined ? 'apply' : 'aufs';
    const applied = await applyLayer(layer, { root: diff, whiteouts }, { signal });
    const hasRoot = wasRootSet(diff);
    if (layer.parent !== undefined) {
      settleLayer(diff, applied.impliedFolders, this.#diffsFrom(layer.parent));
      if (!hasRoot) copyRootAttributes(this.#diffOf(layer.parent), diff);
    }
    return { applied, details: {} };
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { limit }: FillOptions): Promise<void> {
    const { diff } = layout(staging);
    makeRootFolder(diff);
    limit([diff]);
    // The union's root shows its topmost branch's attributes.
    if (parent !== undefined) copyRootAttributes(this.#diffOf(parent), diff);
  }

  protected async attach(snapshot: Snapshot, target: string, readOnly: boolean): Promise<void> {
    const { diff, lock } = layout(snapshot);
    const below = this.#diffsFrom(snapshot.parent);
    // One branch is no union.
    if (below.length === 0) {
      bindMount(diff, target, { readOnly });
      return;
    }
    const union =
      snapshot.kind === 'active'
        ? { writable: diff, readOnly: below }
        : { writable: undefined, readOnly: [diff, ...below] };
    if (unionKind() === 'kernel') {
      mountKernelAufs(target, union, readOnly);
      return;
    }
    const order = { ...union, passthrough: this.#passthrough, target, isReadOnly: readOnly, lockFile: lock };
    // Nobody is to find a mount that gives ENOTCONN.
    await mountUnion(order, () => this.#dropDead(snapshot));
  }

  /** An image with the branch in it must not be mounted anew before the server has closed what it had of it. */
  protected override async detached(snapshot: Snapshot): Promise<void> {
    if (!snapshot.image) return;
    const { lock } = layout(snapshot);
    const deadline = performance.now() + closeDeadlineMs;
    while (isServed(lock) && performance.now() < deadline) await delay(2);
  }

  /** Docker's names are links, which take no block; but the list of what it stands on is a file. */
  override paths(key: string): readonly string[] {
    return [...super.paths(key), join(this.tree.folder, 'layers', this.tree.require(key).id)];
  }

  protected ownFolder(snapshot: Snapshot): string {
    return layout(snapshot).diff;
  }

  protected override async measure(snapshot: Snapshot): Promise<Usage> {
    return await measureInBackground(this.ownFolder(snapshot));
  }

  protected diffSource(snapshot: Snapshot): DiffSource {
    const lowers = this.#diffsFrom(snapshot.parent);
    return { kind: 'aufs', upper: layout(snapshot).diff, lowers };
  }

  protected override dropped(snapshot: Snapshot): void {
    removeDockerNames(this.tree.folder, snapshot.id);
  }

  /** Takes away what AUFS keeps in a branch it writes to. */
  protected async seal(snapshot: Snapshot): Promise<void> {
    const { diff, lock } = layout(snapshot);
    for (const name of Object.values(branchFiles)) rmSync(join(diff, name), { recursive: true, force: true });
    if (!isServed(lock)) rmSync(lock, { force: true });
  }

  #diffOf(key: ChainID): string {
    return layout(this.tree.require(key)).diff;
  }

  #diffsFrom(top: ChainID | undefined): string[] {
    return this.tree.chain(top).map((layer) => layout(layer).diff);
  }

  /** Unmounts a union whose server is dead: every access to it gives ENOTCONN. True when there was one. */
  #dropDead(snapshot: Snapshot): boolean {
    const { merged, lock } = layout(snapshot);
    if (!mountsBelow(merged).some(({ target, type }) => target === merged && type === 'fuse.aufs'))
      return false;
    if (isServed(lock)) return false;
    unmount(merged, { detach: true });
    try {
      rmdirSync(merged);
    } catch {
      // In the way of nothing: the next mount takes it as it is.
    }
    return true;
  }

  #addNames(key: string): void {
    const snapshot = this.tree.get(key);
    if (!snapshot || !this.tree.isWhole(snapshot.parent)) return;
    const below = this.tree.chain(snapshot.parent).map(({ id }) => id);
    addDockerNames(this.tree.folder, snapshot, below);
  }

  #mendNames(): string[] {
    const { folder } = this.tree;
    if (!existsSync(folder)) return [];
    const report: string[] = [];
    for (const id of dockerNames(folder)) {
      if (this.tree.byId(id)) continue;
      removeDockerNames(folder, id);
      report.push(`removed the names of a snapshot that is gone (${id.slice(0, 12)})`);
    }
    for (const { key } of this.tree.values()) this.#addNames(key);
    return report;
  }
}
