import { existsSync, lstatSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isKind, KeyedLock, parseBytes, VarveError } from '../../../base/index.ts';
import {
  type Change,
  type Compression,
  indexTar,
  type LayerBlob,
  type RootAttributes,
  readRootAttributes,
  settleIndex,
  type StoredLayer,
  storeLayer,
  writeRootAttributes,
} from '../../../layer/index.ts';
import { filesystemName, mountsBelow } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { readStorageOptions, type StorageOption } from '../../options.ts';
import { examineFolder } from '../../tree/examine-folder.ts';
import { existingAncestor } from '../../tree/folders.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { mountPoint } from '../../tree/tree-driver.ts';
import type { LayerToApply, OperationOptions, Probe, Usage } from '../../types.ts';
import { StackDriver } from '../overlay2/stack-driver.ts';
import { examineArchive } from './examine.ts';
import { LayerMounts } from './layer-mounts.ts';
import { isIndexed, layout } from './layout.ts';
import { type Backing, backings } from './mount-index.ts';
import { probeErofs } from './probe.ts';
import { lowersOf, settleStack } from './settling.ts';
import { SharedTars } from './shared-tars.ts';

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
export class ErofsDriver extends StackDriver {
  readonly name = 'erofs';
  readonly independentLayers = true;
  readonly defaultSize: number | undefined;
  readonly #root: string;
  readonly #layers: LayerMounts;
  readonly #backing: Backing;
  /** Over the layers' mounts and the stack's together, by snapshot. */
  readonly #gate = new KeyedLock();
  readonly #tars = new SharedTars(this.tree);
  readonly #settling = new KeyedLock();
  readonly #views = new Set<{ readonly key: string; readonly ended: Promise<void> }>();
  #viewsEver = 0;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/erofs`.
   * @throws VarveError `invalid` for an option that it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'erofs'));
    const read = readStorageOptions('erofs', options, {
      'erofs.backing': readBacking,
      'erofs.size': parseBytes,
    });
    const { 'erofs.backing': backing } = read;
    this.defaultSize = read['erofs.size'] || undefined;
    this.#backing = backing ?? 'auto';
    this.#layers = new LayerMounts(this.#backing);
    this.#root = root;
    this.#adoptLayers();
  }

  async probe(): Promise<Probe> {
    return await probeErofs(this.#root, this.#backing);
  }

  status(): readonly (readonly [string, string])[] {
    return [
      ['Backing Filesystem', filesystemName(existingAncestor(this.#root))],
      ['Supports d_type', 'true'],
      ['Layers', 'tar with EROFS index'],
      ['Native Overlay Diff', 'true'],
    ];
  }

  override async apply(
    layer: LayerToApply,
    options: OperationOptions = {},
  ): Promise<{ readonly size: number; readonly tarSize: number }> {
    const applied = await this.#tars.apply(
      layer,
      options.signal,
      async () => await super.apply(layer, options),
    );
    await this.#settleAround(layer.chainId);
    return applied;
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
      // What is read may not go to the trash under its mount.
      await Promise.all([...this.#views].filter((view) => view.key === key).map(({ ended }) => ended));
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
    options: Parameters<StackDriver['diff']>[3] = {},
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
    const bottom = layer.parent === undefined;
    // A layer that is there already is made anew since its archive may be damaged, which is no archive to share.
    const isShared = !this.tree.get(layer.chainId) && this.#tars.borrow(layer, tar);
    const stored = isShared
      ? await indexTar({ tar, index, bottom, diffId: layer.diffId }, { signal })
      : await storeLayer(layer, { tar, index, bottom }, { signal });
    const root = stored.rootSet ? {} : { plainRoot: true };
    const isOpen = stored.open.whiteouts.length + stored.open.folders.length > 0;
    const settled = !isOpen || (await this.#settleNew(layer, staging, stored, signal));
    return { applied: stored, details: { ...root, ...(settled ? {} : { unsettled: stored.open }) } };
  }

  /** Where the layers below are all there, they are asked before the new one is seen. */
  async #settleNew(
    { parent }: LayerToApply,
    staging: Staging,
    { diffId, open: questions }: StoredLayer,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!this.tree.isWhole(parent)) return false;
    const below = this.tree.chain(parent);
    if (below.some(({ unsettled }) => unsettled)) return false;
    const { tar, index } = layout(staging.path);
    const output = `${index}.new`;
    const isNew = await settleIndex({ tar, diffId, questions, lowers: lowersOf(below), output }, { signal });
    if (isNew) renameSync(output, index);
    return true;
  }

  protected override async measure(snapshot: Snapshot): Promise<Usage> {
    if (!isIndexed(snapshot.path)) return await super.measure(snapshot);
    const { index } = layout(snapshot.path);
    const archive = this.#tars.bytes(snapshot);
    const bytes = archive + statSync(index).blocks * 512;
    return { bytes, contentBytes: snapshot.size ?? 0, inodes: archive === 0 ? 1 : 2 };
  }

  /** An archive is compared with its digest, its index with the archive, through the mount that containers use. */
  protected override async examine(
    snapshot: Snapshot,
    layer: LayerToApply | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { path, key, diffId } = snapshot;
    if (!isIndexed(path)) return await super.examine(snapshot, layer, signal);
    const damage = await examineArchive(path, diffId, signal);
    if (damage !== undefined || !layer) return damage;
    const archive: LayerToApply = { ...layer, path: layout(path).tar, compression: 'none' };
    try {
      return await this.#viewing(key, () => examineFolder(layout(path).diff, archive, signal));
    } catch (error) {
      if (isKind(error, 'cancelled')) throw error;
      return `its index cannot be mounted: ${VarveError.from(error).message}`;
    }
  }

  /** Mounts the layers of a snapshot's stack. */
  async #hold(user: string, snapshot: Snapshot): Promise<void> {
    const below = this.tree.chain(snapshot.parent);
    const top = snapshot.kind === 'committed' ? (snapshot.key as ChainID) : snapshot.parent;
    if ([snapshot, ...below].some(({ unsettled }) => unsettled)) await this.#settle(top);
    for (const { key, path } of [...below.toReversed(), snapshot]) {
      if (isIndexed(path)) await this.#layers.hold(user, path, () => this.#inheritRoot(key));
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
    const user = `/view/${this.#viewsEver++}`;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const view = { key, ended };
    this.#views.add(view);
    try {
      await this.#hold(user, this.tree.require(key));
      return await work();
    } finally {
      await this.#layers.release(user);
      this.#views.delete(view);
      end();
    }
  }

  /** Answers what waited for the layers below, of all layers of a whole stack. */
  async #settle(top: ChainID | undefined): Promise<void> {
    // Stacks share layers.
    await this.#settling.run('', async () => await settleStack(this.tree, this.tree.chain(top)));
  }

  #inheritRoot(key: string): void {
    const { plainRoot, parent, path } = this.tree.require(key);
    const root = plainRoot ? this.rootOf(parent) : undefined;
    if (root) writeRootAttributes(layout(path).index, root);
  }

  /**
   * Settles the stacks that a new layer completes, so that the first container on them need not wait for it. The layer
   * may be the last of its image to arrive, below others.
   */
  async #settleAround(key: string): Promise<void> {
    if (!this.tree.isWhole(key as ChainID)) return;
    const tops: string[] = [];
    const pending = [key];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const above = this.tree.children(next).filter((child) => this.tree.get(child)?.kind === 'committed');
      if (above.length === 0) tops.push(next);
      pending.push(...above);
    }
    for (const top of tops as ChainID[]) {
      const isOpen = this.tree.isWhole(top) && this.tree.chain(top).some(({ unsettled }) => unsettled);
      if (isOpen) await this.#settle(top);
    }
  }

  /** What the root folder of a stack looks like: the topmost layer that says so decides. */
  protected rootOf(top: ChainID | undefined): RootAttributes | undefined {
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
      if (layer) this.#layers.adopt(layer.path);
      const owner = this.tree.byId(this.#idIn(target));
      if (!owner || mountPoint(owner) !== target || !this.tree.isWhole(owner.parent)) continue;
      for (const { path } of [owner, ...this.tree.chain(owner.parent)]) {
        if (isIndexed(path)) this.#layers.adopt(path, owner.key);
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

function readBacking(value: string): Backing {
  const known = backings.find((name) => name === value);
  if (known) return known;
  throw new VarveError('invalid', 'INVALID_STORAGE_OPT', `erofs: invalid erofs.backing: ${value}`, {
    subject: value,
    hint: `one of ${backings.join(', ')}`,
  });
}
