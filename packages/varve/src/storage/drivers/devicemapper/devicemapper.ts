import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, VarveError } from '../../../base/index.ts';
import { applyLayer, type DiffSource } from '../../../layer/index.ts';
import { DeviceMapper, growFilesystem, listMounts } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import type { StorageOption } from '../../options.ts';
import { diffBytes } from '../../tree/diff-bytes.ts';
import { examineFolder } from '../../tree/examine-folder.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import type { LayerToApply, OperationOptions, Probe, Usage } from '../../types.ts';
import { measureInBackground } from '../../worker/jobs.ts';
import { baseFolder, ensureBase } from './base-volume.ts';
import { destroyPool } from './destroy-pool.ts';
import { type PoolOptions, readPoolOptions, sectorBytes } from './options.ts';
import { poolStatusPairs } from './status-pairs.ts';
import { probeDeviceMapper } from './probe.ts';
import {
  type BaseVolume,
  readPool,
  readVolume,
  type Transaction,
  type Volume,
  volumeFile,
  writeVolume,
} from './records.ts';
import { ThinPool } from './thin-pool.ts';
import { attachVolume, type UsedVolume, viewVolume, withVolume } from './with-volume.ts';

/** A running pool and what every bottom layer starts from. */
interface Opened {
  readonly pool: ThinPool;
  readonly base: BaseVolume;
  readonly mapper: DeviceMapper;
}

/**
 * Every snapshot is a thin volume of one pool of blocks, with a file system of its own: a child shares all blocks with its
 * parent until one of them is written to. On disk, under `<root>/devicemapper`:
 *
 *     data, metadata        loop files with holes, unless dm.thinpooldev names a pool
 *     pool.json             the pool's name, the unit of allocation, the base volume
 *     transaction.json      the volume being made, or made last
 *     <id>/snapshot.json    the record: key, kind, parent (id: 64 random hex digits)
 *     <id>/volume.json      the volume: its number in the pool, its size
 *     <id>/merged/          mount point, while mounted
 *     staging/ trash/       being made, being deleted
 *
 * README.md beside this file tells why.
 */
export class DeviceMapperDriver extends TreeDriver {
  readonly name = 'devicemapper';
  /** A layer is unpacked over a snapshot of the one below. */
  readonly independentLayers = false;
  readonly #options: PoolOptions;
  #opening: Promise<Opened> | undefined;
  /** What {@link DeviceMapperDriver.#opening} came to. */
  #opened: Opened | undefined;
  /** What starting the pool undid; {@link DeviceMapperDriver.recover} tells of it. */
  readonly #rolledBack: string[] = [];
  #retry: NodeJS.Timeout | undefined;

  /**
   * @param root folder of all drivers; this one keeps to `<root>/devicemapper`.
   * @throws VarveError `invalid` for an option it does not know.
   */
  constructor(root: string, options: readonly StorageOption[] = []) {
    super(join(root, 'devicemapper'));
    this.#options = readPoolOptions(options);
  }

  async probe(): Promise<Probe> {
    return await probeDeviceMapper(this.#options);
  }

  status(): readonly (readonly [string, string])[] {
    const record = this.#opened?.pool.record ?? readPool(this.tree.folder);
    return poolStatusPairs(this.tree.folder, this.#options, record, this.#opened?.pool);
  }

  metadata(key: string): Record<string, string> {
    const volume = this.#volumeOf(this.tree.require(key));
    return {
      DeviceId: String(volume.deviceId),
      DeviceName: this.#opened?.pool.deviceName(volume) ?? '',
      DeviceSize: String(volume.bytes),
    };
  }

  /** The pool, started when it is needed first. */
  async #open(): Promise<Opened> {
    this.#opening ??= this.#start();
    try {
      this.#opened = await this.#opening;
      return this.#opened;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  async #start(): Promise<Opened> {
    this.tree.prepareFolders();
    const mapper = new DeviceMapper();
    try {
      const { folder } = this.tree;
      const { pool, report } = await ThinPool.open(folder, this.#options, mapper, (last) =>
        this.#holds(last),
      );
      this.#rolledBack.push(...report);
      const base = await ensureBase(pool, join(folder, 'staging'), this.#options);
      return { pool, base, mapper };
    } catch (error) {
      mapper[Symbol.dispose]();
      throw error;
    }
  }

  /** Whether the volume made last has a place; its folder may be anywhere on its way. */
  #holds({ folder, deviceId }: Transaction): boolean {
    const root = this.tree.folder;
    if (folder === baseFolder) return readPool(root)?.base?.deviceId === deviceId;
    const trash = readdirSync(join(root, 'trash')).filter((name) => name.startsWith(folder));
    const places = [folder, join('staging', folder), ...trash.map((name) => join('trash', name))];
    return places.some((place) => readVolume(join(root, place))?.deviceId === deviceId);
  }

  #volumeOf(place: { readonly path: string }): Volume {
    const volume = readVolume(place.path);
    if (volume) return volume;
    throw new VarveError('data-loss', 'NO_VOLUME', `${place.path} has lost its volume`, {
      subject: place.path,
    });
  }

  #used(volume: Volume, { base }: Opened): UsedVolume {
    return { ...volume, filesystem: base.filesystem, options: this.#options.mountOptions };
  }

  protected async unpack(layer: LayerToApply, staging: Staging, signal: AbortSignal) {
    const opened = await this.#open();
    const volume = await this.#make(opened, staging, layer.parent, undefined);
    try {
      const used = this.#used(volume, opened);
      const applied = await withVolume(opened.pool, staging.path, used, (root) =>
        applyLayer(layer, { root, whiteouts: 'apply' }, { signal }),
      );
      return { applied, details: {} };
    } catch (error) {
      throw await whyFull(opened.pool, error);
    }
  }

  /** A volume has a size anyhow. */
  protected override get limitsItself(): boolean {
    return true;
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { size }: FillOptions): Promise<void> {
    const opened = await this.#open();
    const volume = await this.#make(opened, staging, parent, size);
    if (size === undefined) return;
    const used = this.#used(volume, opened);
    await withVolume(opened.pool, staging.path, used, (root) => growFilesystem(root, volume.bytes));
  }

  async #make(
    { pool, base }: Opened,
    staging: Staging,
    parent: ChainID | undefined,
    size: number | undefined,
  ): Promise<Volume> {
    const origin = parent === undefined ? base : this.#volumeOf(this.tree.require(parent));
    if (size !== undefined && size < origin.bytes) {
      const least = formatBytes(origin.bytes, 4);
      throw new VarveError(
        'invalid',
        'CONTAINER_SIZE_TOO_SMALL',
        `devmapper: Container size cannot be smaller than ${least}`,
        { subject: String(size), hint: 'a volume grows, but never shrinks; see --storage-opt dm.basesize' },
      );
    }
    const bytes = size === undefined ? origin.bytes : Math.floor(size / sectorBytes) * sectorBytes;
    return await pool.create(staging.id, origin, bytes, (volume) => writeVolume(staging.path, volume));
  }

  protected async attach(snapshot: Snapshot, target: string, readOnly: boolean): Promise<void> {
    const opened = await this.#open();
    const used = this.#used(this.#volumeOf(snapshot), opened);
    const isCommitted = snapshot.kind === 'committed';
    await attachVolume(opened.pool, { ...used, isCommitted }, target, { readOnly });
  }

  protected override async detached(snapshot: Snapshot): Promise<void> {
    const { pool } = await this.#open();
    await pool.exclusive(() => pool.release(this.#volumeOf(snapshot)));
  }

  protected ownFolder(snapshot: Snapshot): string {
    return snapshot.path;
  }

  /** Its own are the blocks that were written since it was made. */
  protected override async measure(snapshot: Snapshot): Promise<Usage> {
    const { pool, base } = await this.#open();
    const { parent } = snapshot;
    const origin = parent === undefined ? base : this.#volumeOf(this.tree.require(parent));
    const content = await this.withDiffSource(snapshot, async (source) => ({
      contentBytes: await diffBytes(source),
      inodes: (await measureInBackground(source.upper)).inodes,
    }));
    return { ...content, bytes: await pool.ownBytes(this.#volumeOf(snapshot), origin) };
  }

  protected override async examine(
    snapshot: Snapshot,
    layer: LayerToApply | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const expected = snapshot.kind === 'committed' ? layer : undefined;
    return await this.#view(snapshot, (root) => examineFolder(root, expected, signal));
  }

  async #view<T>(snapshot: Snapshot, work: (root: string) => Promise<T>): Promise<T> {
    const opened = await this.#open();
    const used = this.#used(this.#volumeOf(snapshot), opened);
    const isCommitted = snapshot.kind === 'committed';
    return await viewVolume(opened.pool, snapshot.path, { ...used, isCommitted }, work);
  }

  protected override async withDiffSource<T>(
    snapshot: Snapshot,
    work: (source: DiffSource) => Promise<T>,
  ): Promise<T> {
    const { parent } = snapshot;
    return await this.#view(snapshot, async (upper) => {
      if (parent === undefined) return await work({ kind: 'trees', upper });
      // Written just before the snapshot was taken.
      const snapshotAt = statSync(join(snapshot.path, volumeFile)).mtimeMs;
      return await this.#view(this.tree.require(parent), (lower) =>
        work({ kind: 'trees', upper, lower, snapshotAt }),
      );
    });
  }

  protected diffSource(): DiffSource {
    throw new VarveError('internal', 'NOT_MOUNTED', 'a volume is compared only while it is mounted');
  }

  /** What an open file still holds of the volume goes to the disk, for layers will stand on it. */
  protected override async complete(snapshot: Snapshot): Promise<void> {
    const opened = await this.#open();
    const volume = this.#volumeOf(snapshot);
    if (!(await opened.pool.isActive(volume))) return;
    await withVolume(opened.pool, snapshot.path, this.#used(volume, opened), () => undefined);
  }

  protected async seal(): Promise<void> {}

  /** The volume goes before the folder that says which one it is. */
  protected override async released(path: string): Promise<void> {
    const volume = readVolume(path);
    if (!volume) return;
    const { pool } = await this.#open();
    try {
      await pool.remove(volume);
    } catch (error) {
      this.#retryLater();
      throw error;
    }
  }

  /** A volume in use is deleted when that ends. */
  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.tree.retryDeletions();
    }, retryMs).unref();
  }

  override async recover(): Promise<readonly string[]> {
    if (!existsSync(join(this.tree.folder, 'pool.json'))) return await super.recover();
    const { pool } = await this.#open();
    const report = this.#rolledBack.splice(0);
    const clean = async (): Promise<void> => {
      const mounted = new Set(listMounts().map(({ device }) => device));
      report.push(...(await pool.clean((device) => mounted.has(device))));
    };
    // First, since what is mounted from a suspended device could not be unmounted; then again for what was mounted.
    await clean();
    report.push(...(await super.recover()));
    await clean();
    return report;
  }

  /** What is kept aside of the damaged one is its record; its volume goes. */
  override async rederive(layer: LayerToApply, aside: string, options: OperationOptions = {}): Promise<void> {
    await super.rederive(layer, aside, options);
    const volume = existsSync(aside) ? readVolume(aside) : undefined;
    if (!volume) return;
    const { pool } = await this.#open();
    await pool.remove(volume);
  }

  async destroy(): Promise<void> {
    await this.close();
    try {
      await destroyPool(this.tree.folder, this.#options);
    } catch (error) {
      // Neither a kernel without a device mapper nor a pool that is gone holds anything.
      if (!VarveError.is(error) || error.kind !== 'unavailable') throw error;
    }
  }

  override async close(): Promise<void> {
    this.tree.retryDeletions();
    await super.close();
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const opening = this.#opening;
    this.#opening = undefined;
    this.#opened = undefined;
    const opened = await opening?.catch(() => undefined);
    if (!opened) return;
    try {
      await opened.pool.close();
    } finally {
      opened.mapper[Symbol.dispose]();
    }
  }
}

const retryMs = 30_000;

/** What a write to a full pool fails with depends on who notices first; say what it was. */
async function whyFull(pool: ThinPool, error: unknown): Promise<unknown> {
  const status = await pool.status().catch(() => undefined);
  if (!status || (status.mode === 'rw' && status.data.used < status.data.total)) return error;
  return new VarveError('exhausted', 'POOL_FULL', `the thin pool ${pool.record.name} is full`, {
    subject: pool.record.name,
    hint: 'remove images and containers, or enlarge the pool (dm.loopdatasize)',
    cause: error,
  });
}
