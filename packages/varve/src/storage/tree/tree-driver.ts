import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KeyedLock, VarveError } from '../../base/index.ts';
import {
  type Change,
  type Compression,
  changes,
  type DiffSource,
  type LayerBlob,
  writeLayer,
} from '../../layer/index.ts';
import { FilesystemSync, mountsBelow, setMountAttributes } from '../../linux/index.ts';
import { type ChainID, chainId, type DiffID } from '../../oci/index.ts';
import { imageDiskBytes, removeImage, Sizes } from '../quota/index.ts';
import type {
  LayerToApply,
  OperationOptions,
  Probe,
  SnapshotCheckOptions,
  SnapshotInfo,
  SnapshotProblem,
  StorageDriver,
  Usage,
} from '../types.ts';
import { copyInBackground, deleteInBackground, measureInBackground } from '../worker/jobs.ts';
import { checkSnapshots, type SnapshotsToCheck, standsOn } from './check-snapshots.ts';
import { diffBytes } from './diff-bytes.ts';
import { clearProblem } from './clear-problem.ts';
import type { FillOptions, LayerDetails, LayerSizes } from './driver-parts.ts';
import { examineFolder } from './examine-folder.ts';
import { KeyPins } from './key-pins.ts';
import { ImageMounts } from './image-mounts.ts';
import { isMounted, mountPoint, removeFolder, unmountCompletely } from './mount-point.ts';
import { MountUses } from './mount-uses.ts';
import type { SnapshotRecord } from './record.ts';
import { SharedWork } from './shared-work.ts';
import { type Snapshot, SnapshotTree, type Staging } from './snapshot-tree.ts';

export type { FillOptions, LayerDetails } from './driver-parts.ts';
export { mountPoint } from './mount-point.ts';

/**
 * What drivers over a {@link SnapshotTree} have in common: naming, counting, atomicity and recovery. A driver says how
 * a snapshot's folder is filled, shown and compared.
 */
export abstract class TreeDriver implements StorageDriver {
  abstract readonly name: string;
  abstract readonly independentLayers: boolean;
  protected readonly tree: SnapshotTree;
  readonly #mounts = new MountUses();
  readonly #applying = new SharedWork<LayerSizes>();
  readonly #locks = new KeyedLock();
  readonly #sizes = new Sizes();
  readonly #images = new ImageMounts();
  /** Committed snapshots that something being made will stand on. */
  readonly #pins = new KeyPins();
  /** What the last diff of an active snapshot gave, so that a commit under that name knows its sizes. */
  readonly #lastDiff = new Map<string, LayerSizes>();

  /** @param folder the driver's own; made with the first snapshot. */
  constructor(folder: string) {
    this.tree = new SnapshotTree(folder, (path) => this.released(path));
    this.#adoptMounts();
  }

  abstract probe(): Promise<Probe>;
  abstract status(): readonly (readonly [string, string])[];
  abstract metadata(key: string): Record<string, string>;

  /** Unpacks a layer into a staging folder; `details` go into the record. */
  protected abstract unpack(
    layer: LayerToApply,
    staging: Staging,
    signal: AbortSignal,
  ): Promise<{ readonly applied: LayerSizes; readonly details: LayerDetails }>;
  /** Fills a staging folder for an active snapshot. */
  protected abstract fill(staging: Staging, parent: ChainID | undefined, options: FillOptions): Promise<void>;
  /** Mounts the snapshot at `target`, an empty folder. */
  protected abstract attach(snapshot: Snapshot, target: string, readOnly: boolean): void | Promise<void>;
  /** Ends what {@link TreeDriver.attach} started besides the mount, which is gone. */
  protected async detached(_snapshot: Snapshot): Promise<void> {}
  /** Folder of the snapshot's own files, for measuring. */
  protected abstract ownFolder(snapshot: Snapshot): string;
  protected abstract diffSource(snapshot: Snapshot): DiffSource;
  /** Has the trees of {@link TreeDriver.diffSource} at hand while `work` runs. */
  protected async withDiffSource<T>(
    snapshot: Snapshot,
    work: (source: DiffSource) => Promise<T>,
  ): Promise<T> {
    return await work(this.diffSource(snapshot));
  }
  /** Drops what only an active snapshot needs. */
  protected abstract seal(snapshot: Snapshot): Promise<void>;
  /** Makes what a committed snapshot has and an active one lacks, before the record says that it is one. */
  protected async complete(_snapshot: Snapshot): Promise<void> {}
  /** Adds up what a snapshot holds itself; its content is what differs from its parent. */
  protected async measure(snapshot: Snapshot): Promise<Usage> {
    const usage = await measureInBackground(this.ownFolder(snapshot));
    return await this.withDiffSource(snapshot, async (source) =>
      source.kind === 'trees' ? { ...usage, contentBytes: await diffBytes(source) } : usage,
    );
  }
  /** True for a driver that keeps a writable layer to its size in {@link TreeDriver.fill} by means of its own. */
  protected get limitsItself(): boolean {
    return false;
  }
  /** True for a mount that is no snapshot's own and that the driver ends itself. */
  protected keepsMount(_target: string): boolean {
    return false;
  }
  /** Ends what a removed snapshot's folder stands for, before its files are deleted; what throws is tried again later. */
  protected async released(_path: string): Promise<void> {}
  /** Told after a snapshot is gone. */
  protected dropped(_snapshot: Snapshot): void {}

  has(key: string): boolean {
    return this.tree.get(key) !== undefined;
  }

  info(key: string): SnapshotInfo | undefined {
    const snapshot = this.tree.get(key);
    return snapshot && { key, kind: snapshot.kind, parent: snapshot.parent };
  }

  *list(): Iterable<SnapshotInfo> {
    for (const { key, kind, parent } of this.tree.values()) yield { key, kind, parent };
  }

  async apply(
    layer: LayerToApply,
    options: OperationOptions = {},
  ): Promise<{ readonly size: number; readonly tarSize: number }> {
    const { size, tarSize } = await this.#applying.run(layer.chainId, options.signal, (signal) =>
      this.#locks.run(layer.chainId, () => this.#apply(layer, signal)),
    );
    return { size, tarSize };
  }

  async #apply(layer: LayerToApply, signal: AbortSignal): Promise<LayerSizes> {
    const { diffId, chainId: key, parent } = layer;
    const existing = this.tree.get(key);
    if (existing) return await this.#sizesOf(existing, diffId);
    if (parent !== undefined && !this.independentLayers) this.tree.chain(parent);
    using _pin = this.#pins.hold(parent);
    const staging = this.tree.stage();
    try {
      const { sizes, details } = await this.#unpackDurably(layer, staging, signal);
      await this.tree.publish(staging, {
        key,
        kind: 'committed',
        parent,
        ...sizes,
        ...details,
      });
      return sizes;
    } catch (error) {
      this.tree.abandon(staging);
      throw error;
    }
  }

  /** @throws VarveError `data-loss` when the archive is another one. */
  async #unpackDurably(layer: LayerToApply, staging: Staging, signal = new AbortController().signal) {
    // Opened first, so that it learns of every write that fails from here on.
    using filesystem = new FilesystemSync(staging.path);
    const { applied, details } = await this.unpack(layer, staging, signal);
    const { diffId, size, tarSize } = applied;
    if (diffId !== layer.diffId) {
      throw new VarveError(
        'data-loss',
        'DIFFID_MISMATCH',
        `layer verification failed: expected ${layer.diffId}, got ${diffId}`,
        { subject: layer.diffId, hint: 'the layer is damaged; pull the image again' },
      );
    }
    await filesystem.sync();
    return { sizes: { diffId, size, tarSize }, details };
  }

  /** A snapshot committed under a name that nobody computed a diff for has no sizes in its record. */
  async #sizesOf(snapshot: Snapshot, diffId: DiffID): Promise<LayerSizes> {
    const { size, tarSize } = snapshot;
    if (size !== undefined && tarSize !== undefined) return { diffId, size, tarSize };
    const { contentBytes } = await this.measure(snapshot);
    return { diffId, size: contentBytes, tarSize: contentBytes };
  }

  async prepare(
    key: string,
    parent: ChainID | undefined,
    options: { readonly size?: number } = {},
  ): Promise<void> {
    // As for Docker's drivers, 0 means no limit.
    const size = options.size === 0 ? undefined : options.size;
    await this.#locks.run(key, async () => {
      if (this.tree.get(key)) {
        throw new VarveError('conflict', 'SNAPSHOT_EXISTS', `snapshot "${key}" already exists`, {
          subject: key,
        });
      }
      this.tree.chain(parent);
      using _pin = this.#pins.hold(parent);
      const staging = this.tree.stage();
      try {
        const shared = this.limitsItself ? undefined : size;
        const { image } = await this.#sizes.within(staging.path, shared, async ({ own, limit }) => {
          const place: Staging = { ...staging, own };
          // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- a driver's method, not an array's
          await this.fill(place, parent, { size, limit });
        });
        await this.tree.publish(staging, { key, kind: 'active', parent, ...(image ? { image } : {}) });
      } catch (error) {
        this.tree.abandon(staging);
        throw error;
      }
    });
  }

  async mount(key: string, options: { readonly readOnly?: boolean } = {}): Promise<string> {
    return await this.#locks.run(key, async () => {
      const snapshot = this.tree.require(key);
      const readOnly = options.readOnly === true || snapshot.kind === 'committed';
      const target = mountPoint(snapshot);
      let use = this.#mounts.get(key);
      // An administrator may have unmounted it behind our back.
      if (use && !isMounted(use.target)) {
        this.#mounts.drop(key);
        use = undefined;
      }
      if (!use) {
        await this.#attach(snapshot, target, readOnly);
        use = this.#mounts.add(key, target, readOnly);
      } else if (use.readOnly && !readOnly) {
        setMountAttributes(target, { readOnly: false });
        use.readOnly = false;
      }
      use.uses++;
      return target;
    });
  }

  async unmount(key: string): Promise<void> {
    await this.#locks.run(key, async () => {
      if (this.#mounts.leave(key)) await this.#detach(key);
    });
  }

  async #attach(snapshot: Snapshot, target: string, readOnly: boolean): Promise<void> {
    mkdirSync(target, { recursive: true, mode: 0o700 });
    try {
      await this.#images.show(snapshot.key, snapshot);
      await this.attach(snapshot, target, readOnly);
    } catch (error) {
      removeFolder(target);
      await this.#images.release(snapshot.key);
      throw error;
    }
  }

  async #detach(key: string): Promise<void> {
    const use = this.#mounts.get(key);
    if (!use) return;
    await unmountCompletely(use.target);
    this.#mounts.drop(key);
    const snapshot = this.tree.get(key);
    if (snapshot) await this.detached(snapshot);
    await this.#images.release(key);
  }

  async changes(key: string): Promise<Change[]> {
    const snapshot = this.tree.require(key);
    return await this.#images.viewing(snapshot, () => this.withDiffSource(snapshot, changes));
  }

  async diff(
    key: string,
    output: string,
    compression: Compression,
    options: OperationOptions & { readonly exclude?: readonly string[] } = {},
  ): Promise<LayerBlob> {
    const snapshot = this.tree.require(key);
    const blob = await this.#images.viewing(snapshot, () =>
      this.withDiffSource(snapshot, (source) => writeLayer(source, output, compression, options)),
    );
    const { diffId, size, tarSize } = blob;
    if (snapshot.kind === 'active') this.#lastDiff.set(key, { diffId, size, tarSize });
    return blob;
  }

  async commit(key: string, chain: ChainID): Promise<void> {
    await this.#locks.run(chain, () =>
      this.#locks.run(key, async () => {
        const snapshot = this.tree.require(key);
        if (snapshot.kind === 'committed') {
          throw new VarveError('conflict', 'SNAPSHOT_COMMITTED', `snapshot "${key}" is committed already`, {
            subject: key,
          });
        }
        this.#refuseUsed(key);
        await this.#detach(key);
        if (this.tree.get(chain)) {
          await this.tree.discard(snapshot);
          this.dropped(snapshot);
          return;
        }
        using filesystem = new FilesystemSync(snapshot.path);
        await this.complete(await this.#bringOut(snapshot));
        await filesystem.sync();
        const known = this.#lastDiff.get(key);
        const isItsDiff = known && chainId(snapshot.parent, known.diffId) === chain;
        const record: SnapshotRecord = { key: chain, kind: 'committed', parent: snapshot.parent };
        const committed = await this.tree.rewrite(snapshot, isItsDiff ? { ...record, ...known } : record);
        this.#lastDiff.delete(key);
        await this.#seal(committed);
      }),
    );
  }

  /** Copies what an image holds beside it, since a layer has no limit; until the record says so, the image is what counts. */
  async #bringOut(snapshot: Snapshot): Promise<Snapshot> {
    if (!snapshot.image) return snapshot;
    const plain = { ...snapshot, own: snapshot.path };
    const to = this.ownFolder(plain);
    if (existsSync(to)) await deleteInBackground(to);
    mkdirSync(to);
    await this.#images.viewing(snapshot, () => copyInBackground(this.ownFolder(snapshot), to));
    return plain;
  }

  async #seal(committed: Snapshot): Promise<void> {
    await this.seal(committed);
    removeImage(committed.path);
  }

  paths(key: string): readonly string[] {
    return [this.tree.require(key).path];
  }

  async usage(key: string): Promise<Usage> {
    const snapshot = this.tree.require(key);
    return await this.#images.viewing(snapshot, async () => {
      const usage = await this.measure(snapshot);
      return snapshot.image ? { ...usage, bytes: imageDiskBytes(snapshot.path) } : usage;
    });
  }

  async remove(key: string): Promise<void> {
    await this.#locks.run(key, async () => {
      const snapshot = this.tree.get(key);
      if (!snapshot) return;
      const children = this.tree.children(key);
      if (children.length > 0 || this.#pins.has(key)) {
        throw new VarveError(
          'conflict',
          'SNAPSHOT_HAS_CHILDREN',
          `snapshot "${key}" cannot be removed: ${children.length || 'some'} snapshots stand on it`,
          { subject: key, data: { children } },
        );
      }
      this.#refuseUsed(key);
      await this.#detach(key);
      await this.tree.discard(snapshot);
      this.dropped(snapshot);
      this.#lastDiff.delete(key);
    });
  }

  /** Says what is wrong with a snapshot's files; undefined when nothing is. */
  protected async examine(
    snapshot: Snapshot,
    layer: LayerToApply | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    // Where a writable layer is before it is mounted is its driver's to know.
    const folder = snapshot.kind === 'committed' ? this.ownFolder(snapshot) : snapshot.path;
    return await examineFolder(folder, layer, signal);
  }

  async check(options: SnapshotCheckOptions = {}): Promise<readonly SnapshotProblem[]> {
    const isUsed = (key: string): boolean => this.#mounts.isUsed(key);
    const examine: SnapshotsToCheck['examine'] = (...words) => this.examine(...words);
    return await checkSnapshots({ tree: this.tree, isUsed, examine, mountPoint }, options);
  }

  async rederive(layer: LayerToApply, aside: string, options: OperationOptions = {}): Promise<void> {
    const { chainId: key, parent } = layer;
    await this.#locks.run(key, async () => {
      const old = this.tree.require(key);
      for (const { key: user } of Array.from(this.tree.values()))
        if (standsOn(this.tree, user, key)) this.#refuseUsed(user);
      this.tree.chain(parent);
      using _pin = this.#pins.hold(parent);
      const staging = this.tree.stage();
      try {
        const { sizes, details } = await this.#unpackDurably(layer, staging, options.signal);
        const record: SnapshotRecord = { key, kind: 'committed', parent, ...sizes, ...details };
        await this.tree.replace(old, staging, record, aside);
        this.dropped(old);
      } catch (error) {
        this.tree.abandon(staging);
        throw error;
      }
    });
  }

  async setAside(key: string, target: string): Promise<boolean> {
    return await this.#locks.run(key, async () => {
      const snapshot = this.tree.get(key);
      if (snapshot?.kind !== 'active') return false;
      this.#refuseUsed(key);
      await this.#detach(key);
      this.tree.moveOut(snapshot, target);
      this.dropped(snapshot);
      return true;
    });
  }

  async clear(problem: SnapshotProblem, aside: string): Promise<boolean> {
    const isUsed = (key: string): boolean => this.#mounts.isUsed(key);
    const end = (key: string): Promise<void> => this.unmount(key);
    return await clearProblem({ tree: this.tree, isUsed, end }, problem, aside);
  }

  async recover(): Promise<readonly string[]> {
    const { folder } = this.tree;
    // What is mounted in a folder that goes must not be deleted with it.
    for (const name of ['staging', 'trash']) {
      for (const { target } of mountsBelow(join(folder, name)).reverse()) await unmountCompletely(target);
    }
    const report = this.tree.recover();
    for (const { target } of mountsBelow(folder).reverse()) {
      if (this.keepsMount(target) || this.#imageOwner(target)) continue;
      const owner = this.#ownerOf(target);
      if (owner?.kind === 'active') continue;
      if (owner && this.#mounts.isUsed(owner.key)) continue;
      await unmountCompletely(target);
      if (owner) {
        this.#mounts.drop(owner.key);
        await this.detached(owner);
      }
      report.push(`unmounted ${target}, which nobody uses`);
    }
    for (const target of await this.#images.trim()) report.push(`unmounted ${target}, which nobody uses`);
    for (const snapshot of this.tree.values()) {
      if (snapshot.kind === 'committed') await this.#seal(snapshot);
      else await this.#dropUnfinishedCommit(snapshot, report);
    }
    return report;
  }

  async #dropUnfinishedCommit(snapshot: Snapshot, report: string[]): Promise<void> {
    const copy = this.ownFolder({ ...snapshot, own: snapshot.path });
    if (!snapshot.image || !existsSync(copy)) return;
    await deleteInBackground(copy);
    report.push(`dropped an unfinished commit (${snapshot.id.slice(0, 12)})`);
  }

  async close(): Promise<void> {
    await this.tree.idle();
  }

  /** Mounts outlive the process that made them, as the containers on them do. */
  #adoptMounts(): void {
    for (const { target, options } of mountsBelow(this.tree.folder)) {
      const owner = this.#ownerOf(target);
      if (owner) this.#mounts.add(owner.key, target, options.includes('ro'));
      const limited = this.#imageOwner(target);
      if (limited) this.#images.adopt(target, isMounted(mountPoint(limited)) ? limited.key : undefined);
    }
  }

  #imageOwner(target: string): Snapshot | undefined {
    const snapshot = this.#snapshotAt(target);
    return snapshot?.image && snapshot.own === target ? snapshot : undefined;
  }

  #ownerOf(target: string): Snapshot | undefined {
    const snapshot = this.#snapshotAt(target);
    return snapshot && mountPoint(snapshot) === target ? snapshot : undefined;
  }

  #snapshotAt(target: string): Snapshot | undefined {
    return this.tree.byId(target.slice(this.tree.folder.length + 1).split('/')[0] ?? '');
  }

  #refuseUsed(key: string): void {
    if (!this.#mounts.isUsed(key)) return;
    throw new VarveError('conflict', 'SNAPSHOT_MOUNTED', `snapshot "${key}" is mounted`, { subject: key });
  }
}
