import { existsSync, lstatSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '../../../base/index.ts';
import {
  type Change,
  type Compression,
  type DiffSource,
  type LayerBlob,
  type RootAttributes,
  readRootAttributes,
  settleIndex,
  storeLayer,
  writeRootAttributes,
} from '../../../layer/index.ts';
import {
  bindMount,
  check,
  FilesystemSync,
  fchmodat,
  fchownat,
  filesystemName,
  mountsBelow,
} from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { readStorageOptions, type StorageOption } from '../../options.ts';
import { existingAncestor } from '../../tree/folders.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, mountPoint, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, Probe, Usage } from '../../types.ts';
import { mountOverlay } from '../overlay2/overlay-mount.ts';
import { LayerMounts } from './layer-mounts.ts';
import { isIndexed, layout } from './layout.ts';
import { probeErofs } from './probe.ts';
import { settlementOf } from './settlement.ts';

/**
 * Layers as they came, each an archive that the kernel mounts by an EROFS index beside it, stacked by overlayfs. On disk,
 * under `<root>/erofs`:
 *
 *     <id>/snapshot.json   the record: key, kind, parent (id: 64 random hex digits)
 *     <id>/diff.tar        an applied layer: its uncompressed tar, untouched
 *     <id>/index.erofs     names, attributes and where in the tar each file's bytes are
 *     <id>/diff/           mount point of the index; files, where the snapshot was made by writing
 *     <id>/work/           overlayfs's scratch, while active
 *     <id>/merged/         mount point of the stack, while mounted
 *     staging/ trash/      being made, being deleted
 *
 * README.md beside this file tells why.
 */
export class ErofsDriver extends TreeDriver {
  readonly name = 'erofs';
  readonly independentLayers = true;
  readonly #root: string;
  readonly #layers = new LayerMounts();
  /** Over the layers' mounts and the stack's together, by snapshot. */
  readonly #gate = new KeyedLock();
  #views = 0;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/erofs`.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'erofs'));
    readStorageOptions('erofs', options, {});
    this.#root = root;
    this.#adoptLayers();
  }

  async probe(): Promise<Probe> {
    return await probeErofs(this.#root);
  }

  status(): readonly (readonly [string, string])[] {
    return [
      ['Backing Filesystem', filesystemName(existingAncestor(this.#root))],
      ['Supports d_type', 'true'],
      ['Layers', 'tar with EROFS index, mounted from files'],
      ['Native Overlay Diff', 'true'],
    ];
  }

  metadata(key: string): Record<string, string> {
    const snapshot = this.tree.require(key);
    const { diff, work } = layout(snapshot.own);
    const { merged } = layout(snapshot.path);
    const lowers = this.#diffsFrom(snapshot.parent);
    return {
      ...(lowers.length > 0 ? { LowerDir: lowers.join(':') } : {}),
      MergedDir: merged,
      UpperDir: diff,
      WorkDir: work,
    };
  }

  override async mount(key: string, options: { readonly readOnly?: boolean } = {}): Promise<string> {
    return await this.#gate.run(key, async () => {
      try {
        await this.#hold(key, this.tree.require(key));
        return await super.mount(key, options);
      } finally {
        await this.#releaseUnlessMounted(key);
      }
    });
  }

  override async unmount(key: string): Promise<void> {
    await this.#gate.run(key, async () => {
      await super.unmount(key);
      await this.#releaseUnlessMounted(key);
    });
  }

  override async commit(key: string, chain: ChainID): Promise<void> {
    await this.#gate.run(key, async () => {
      await super.commit(key, chain);
      await this.#releaseUnlessMounted(key);
    });
  }

  override async remove(key: string): Promise<void> {
    await this.#gate.run(key, async () => {
      await super.remove(key);
      await this.#releaseUnlessMounted(key);
    });
  }

  override async changes(key: string): Promise<Change[]> {
    return await this.#viewing(key, () => super.changes(key));
  }

  override async diff(
    key: string,
    output: string,
    compression: Compression,
    options: Parameters<TreeDriver['diff']>[3] = {},
  ): Promise<LayerBlob> {
    return await this.#viewing(key, () => super.diff(key, output, compression, options));
  }

  override async recover(): Promise<readonly string[]> {
    const report = await super.recover();
    for (const user of this.#layers.users) await this.#releaseUnlessMounted(user);
    await this.#layers.trim();
    return report;
  }

  /** The layers' own mounts are counted here. */
  protected override keepsMount(target: string): boolean {
    return this.#layerAt(target) !== undefined;
  }

  protected async unpack(layer: LayerToApply, staging: Staging, signal: AbortSignal) {
    const { tar, index, diff } = layout(staging.path);
    mkdirSync(diff, { mode: 0o700 });
    const stored = await storeLayer(layer, { tar, index, bottom: layer.parent === undefined }, { signal });
    const { whiteouts, folders } = stored.open;
    const details = {
      ...(stored.rootSet ? {} : { plainRoot: true }),
      ...(whiteouts.length + folders.length === 0 ? {} : { unsettled: stored.open }),
    };
    return { applied: stored, details };
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { limit }: FillOptions): Promise<void> {
    const { diff, work } = layout(staging.own);
    mkdirSync(diff);
    mkdirSync(work, { mode: 0o700 });
    limit([diff, work]);
    // The merged root shows the upper's own attributes.
    const root = this.#rootOf(parent);
    if (!root) return;
    check(fchownat(-100, diff, root.uid, root.gid), 'fchownat', diff);
    check(fchmodat(-100, diff, root.mode), 'fchmodat', diff);
  }

  protected attach(snapshot: Snapshot, target: string, readOnly: boolean): void {
    const { diff, work } = layout(snapshot.own);
    const below = this.tree.chain(snapshot.parent);
    if (below.length === 0) {
      bindMount(diff, target, { readOnly });
      return;
    }
    const isActive = snapshot.kind === 'active';
    const stack = isActive ? below : [snapshot, ...below];
    mountOverlay({
      base: this.tree.folder,
      lowers: stack.map(({ id, path }) => ({ id, path: layout(path).diff })),
      ...(isActive ? { upper: { path: diff, work } } : {}),
      target,
      attributes: { readOnly },
    });
  }

  protected ownFolder(snapshot: Snapshot): string {
    return layout(snapshot.own).diff;
  }

  protected override async measure(snapshot: Snapshot): Promise<Usage> {
    if (!isIndexed(snapshot.path)) return await super.measure(snapshot);
    const { tar, index } = layout(snapshot.path);
    const bytes = [tar, index].reduce((sum, path) => sum + statSync(path).blocks * 512, 0);
    return { bytes, contentBytes: snapshot.size ?? 0, inodes: 2 };
  }

  protected diffSource(snapshot: Snapshot): DiffSource {
    const lowers = this.#diffsFrom(snapshot.parent);
    return { kind: 'overlay', upper: layout(snapshot.own).diff, lowers };
  }

  protected async seal(snapshot: Snapshot): Promise<void> {
    await rm(layout(snapshot.path).work, { recursive: true, force: true });
  }

  #diffsFrom(top: ChainID | undefined): string[] {
    return this.tree.chain(top).map(({ path }) => layout(path).diff);
  }

  /** Mounts the layers of a snapshot's stack, from the bottom up: each may have to ask those below it. */
  async #hold(user: string, snapshot: Snapshot): Promise<void> {
    const stack = [snapshot, ...this.tree.chain(snapshot.parent)];
    for (const layer of stack.toReversed()) {
      if (isIndexed(layer.path)) await this.#layers.hold(user, layer, () => this.#makeReady(layer.key));
    }
  }

  async #releaseUnlessMounted(key: string): Promise<void> {
    const snapshot = this.tree.get(key);
    if (snapshot && existsSync(mountPoint(snapshot))) return;
    await this.#layers.release(key);
  }

  /** Does something while a snapshot's layers are mounted, be the snapshot itself mounted or not. */
  async #viewing<T>(key: string, work: () => Promise<T>): Promise<T> {
    // A name that no snapshot has.
    const user = `/view/${this.#views++}`;
    try {
      await this.#hold(user, this.tree.require(key));
      return await work();
    } finally {
      await this.#layers.release(user);
    }
  }

  /** Does what had to wait for the layers below, which are mounted. */
  async #makeReady(key: string): Promise<void> {
    const layer = this.tree.require(key);
    if (layer.unsettled) await this.#settle(layer);
    const root = layer.plainRoot ? this.#rootOf(layer.parent) : undefined;
    if (root) writeRootAttributes(layout(layer.path).index, root);
  }

  async #settle(layer: Snapshot): Promise<void> {
    const { id: _id, path, unsettled, ...record } = layer;
    if (!unsettled || !layer.diffId) return;
    const { tar, index } = layout(path);
    const settled = `${index}.new`;
    rmSync(settled, { force: true });
    using filesystem = new FilesystemSync(path);
    await settleIndex(tar, settled, layer.diffId, settlementOf(unsettled, this.#diffsFrom(layer.parent)));
    await filesystem.sync();
    renameSync(settled, index);
    await this.tree.rewrite(layer, record);
  }

  /** What the root folder of a stack looks like: the topmost layer that says so decides. */
  #rootOf(top: ChainID | undefined): RootAttributes | undefined {
    const source = this.tree.chain(top).find(({ plainRoot }) => !plainRoot);
    if (!source) return undefined;
    const { index, diff } = layout(source.path);
    if (isIndexed(source.path)) return readRootAttributes(index);
    const { mode, uid, gid } = lstatSync(diff);
    return { mode: mode & 0o7777, uid, gid };
  }

  /** Stacks outlive the process that mounted them, and so do the layers they stand on. */
  #adoptLayers(): void {
    for (const { target } of mountsBelow(this.tree.folder)) {
      const layer = this.#layerAt(target);
      if (layer) this.#layers.adoptMount(layer.path);
      const owner = this.tree.byId(this.#idIn(target));
      if (!owner || mountPoint(owner) !== target || !this.tree.isWhole(owner.parent)) continue;
      for (const { path } of [owner, ...this.tree.chain(owner.parent)]) {
        if (isIndexed(path)) this.#layers.adopt(owner.key, path);
      }
    }
  }

  #layerAt(target: string): Snapshot | undefined {
    const layer = this.tree.byId(this.#idIn(target));
    return layer && layout(layer.path).diff === target ? layer : undefined;
  }

  #idIn(target: string): string {
    return target.slice(this.tree.folder.length + 1).split('/')[0] ?? '';
  }
}
