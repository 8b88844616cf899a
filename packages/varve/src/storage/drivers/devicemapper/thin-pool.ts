import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KeyedLock, VarveError } from '../../../base/index.ts';
import {
  type DeviceMapper,
  type DeviceReply,
  decodeNames,
  decodeTable,
  deviceCommand,
  discardDisk,
  makeDeviceNode,
  type TableLine,
} from '../../../linux/index.ts';
import { busy, busyAttempts, busyPauseMs, findDevice, hasCode, startDevice, stopDevice } from './device.ts';
import { type PoolOptions, sectorBytes } from './options.ts';
import { countOwnBlocks, metadataBlockBytes } from './own-blocks.ts';
import {
  type PoolStatus,
  type PoolTable,
  parseMappedSectors,
  parsePoolStatus,
  parsePoolTable,
  shortage,
} from './pool-status.ts';
import {
  type PoolRecord,
  readTransaction,
  type Transaction,
  type Volume,
  writePool,
  writeTransaction,
} from './records.ts';
import { readStatus, startPool } from './start-pool.ts';

/** Device ids have 24 bits. */
const deviceIds = 1 << 24;
/** Where a volume is for as long as it is needed. */
export interface ActiveVolume {
  /** Path of the block device. */
  readonly node: string;
}

/**
 * A pool of blocks and the thin volumes in it. What changes the pool runs one at a time. Device mapper devices exist only
 * while they are used, the pool's from {@link ThinPool.open} to {@link ThinPool.close}.
 */
export class ThinPool {
  readonly #folder: string;
  readonly #options: PoolOptions;
  readonly #mapper: DeviceMapper;
  readonly #lock = new KeyedLock();
  /** How many of ours use each active volume. */
  readonly #users = new Map<number, number>();
  #record: PoolRecord;
  #transaction: number;
  #lastDeviceId: number;

  private constructor(
    folder: string,
    options: PoolOptions,
    mapper: DeviceMapper,
    opened: { readonly record: PoolRecord; readonly transaction: number; readonly lastDeviceId: number },
  ) {
    this.#folder = folder;
    this.#options = options;
    this.#mapper = mapper;
    this.#record = opened.record;
    this.#transaction = opened.transaction;
    this.#lastDeviceId = opened.lastDeviceId;
  }

  /**
   * Starts the pool of a folder, or makes one; a volume that a dead process had half made goes.
   * @param options.holds whether a folder of {@link Transaction} has its volume.
   */
  static async open(
    folder: string,
    options: PoolOptions,
    mapper: DeviceMapper,
    holds: (transaction: Transaction) => boolean,
  ): Promise<{ readonly pool: ThinPool; readonly report: readonly string[] }> {
    const record = await startPool(folder, options, mapper);
    const { transaction } = await readStatus(mapper, record.name);
    const last = readTransaction(folder);
    const pool = new ThinPool(folder, options, mapper, {
      record,
      transaction,
      lastDeviceId: last?.deviceId ?? 0,
    });
    return { pool, report: await pool.#rollBack(last, holds) };
  }

  /** Ends the devices of a folder's pool, be it whole or not. */
  static async end(
    folder: string,
    options: PoolOptions,
    mapper: DeviceMapper,
    record: PoolRecord,
  ): Promise<void> {
    await new ThinPool(folder, options, mapper, { record, transaction: 0, lastDeviceId: 0 }).close();
  }

  get record(): PoolRecord {
    return this.#record;
  }

  /** Says in the pool's record what its base is. */
  setBase(base: PoolRecord['base']): void {
    this.#record = { ...this.#record, base };
    writePool(this.#folder, this.#record);
  }

  /** Runs what must be alone among all that changes the pool. */
  async exclusive<T>(task: () => Promise<T> | T): Promise<T> {
    return await this.#lock.run('', task);
  }

  /** A volume that was half made when its process died, or made and never heard of again. */
  async #rollBack(
    last: Transaction | undefined,
    holds: (transaction: Transaction) => boolean,
  ): Promise<readonly string[]> {
    if (!last || last.opens < this.#transaction) return [];
    const isDone = last.opens === this.#transaction;
    if (isDone && holds(last)) return [];
    const isGone = await this.#delete(last.deviceId);
    return isGone ? [`rolled back the volume ${last.deviceId} of an unfinished snapshot`] : [];
  }

  async status(): Promise<PoolStatus> {
    return await readStatus(this.#mapper, this.#record.name);
  }

  /** {@link ThinPool.status} for callers that cannot wait; it does not wait for the disk either. */
  statusSync(): PoolStatus {
    const reply = this.#mapper.runSync(deviceCommand.tableStatus(this.#record.name));
    return parsePoolStatus(this.#record.name, decodeTable(reply)[0]?.parameters ?? '');
  }

  /** The pool's table: the devices it lies on. */
  tableSync(): PoolTable {
    const reply = this.#mapper.runSync(deviceCommand.table(this.#record.name));
    return parsePoolTable(decodeTable(reply)[0]?.parameters ?? '');
  }

  /**
   * Makes a volume: empty, or showing all that `origin` holds now.
   * @param note writes down where the volume belongs, before it is made.
   * @throws VarveError `exhausted` when the pool has less room than dm.min_free_space.
   */
  async create(
    folder: string,
    origin: Volume | undefined,
    bytes: number,
    note: (volume: Volume) => void,
  ): Promise<Volume> {
    return await this.exclusive(async () => {
      await this.#refuseWhenShort();
      for (let attempt = 0; ; attempt++) {
        const deviceId = (this.#lastDeviceId + 1) % deviceIds;
        const volume = { deviceId, bytes };
        note(volume);
        const opens = this.#transaction + 1;
        writeTransaction(this.#folder, { opens, deviceId, folder });
        this.#lastDeviceId = deviceId;
        try {
          if (origin) await this.#snapshot(deviceId, origin.deviceId);
          else await this.#message(`create_thin ${deviceId}`);
        } catch (error) {
          // The ids have come round.
          if (hasCode(error, 'EEXIST') && attempt < deviceIds) continue;
          throw error;
        }
        await this.#message(`set_transaction_id ${this.#transaction} ${opens}`);
        this.#transaction = opens;
        return volume;
      }
    });
  }

  async #refuseWhenShort(): Promise<void> {
    const status = await this.status();
    if (status.mode === 'ro' || status.needsCheck) {
      throw new VarveError(
        'unavailable',
        'POOL_READ_ONLY',
        `the thin pool ${this.#record.name} takes no changes`,
        { subject: this.#record.name, hint: 'check and repair it with thin_check(8) and thin_repair(8)' },
      );
    }
    const reason = shortage(status, this.#options.minFreePercent);
    if (reason !== undefined) {
      throw new VarveError('exhausted', 'POOL_FULL', reason, {
        subject: this.#record.name,
        hint: 'remove images and containers, or enlarge the pool (dm.loopdatasize)',
      });
    }
  }

  /**
   * An origin in use must stand still meanwhile. That happens without a turn of the event loop: code of this process that
   * reads from the origin in between would wait for a resume that comes after it.
   */
  async #snapshot(deviceId: number, origin: number): Promise<void> {
    const words = `create_snap ${deviceId} ${origin}`;
    const name = this.#volumeName(origin);
    const state = await this.#find(name);
    if (!state?.isActive) {
      await this.#message(words);
      return;
    }
    this.#mapper.runSync(deviceCommand.suspend(name));
    try {
      this.#mapper.runSync(deviceCommand.message(this.#record.name, words));
    } finally {
      this.#mapper.runSync(deviceCommand.resume(name));
    }
  }

  /** Starts a volume's device, or counts one more user. To be called {@link ThinPool.exclusive}ly. */
  async acquire(volume: Volume): Promise<ActiveVolume> {
    const { deviceId, bytes } = volume;
    const name = this.#volumeName(deviceId);
    const table: TableLine = {
      start: 0,
      length: bytes / sectorBytes,
      type: 'thin',
      parameters: `${await this.#poolNumber()} ${deviceId}`,
    };
    const { device } = await startDevice(this.#mapper, name, table);
    this.#users.set(deviceId, (this.#users.get(deviceId) ?? 0) + 1);
    return { node: makeDeviceNode(name, device) };
  }

  /** One user less; the last one's leaving ends the device. To be called {@link ThinPool.exclusive}ly. */
  async release({ deviceId }: Volume): Promise<void> {
    const left = (this.#users.get(deviceId) ?? 1) - 1;
    if (left > 0) {
      this.#users.set(deviceId, left);
      return;
    }
    this.#users.delete(deviceId);
    await this.#stop(this.#volumeName(deviceId), this.#options.defersRemoval);
  }

  /** Whether the volume's device exists, be it that its removal waits for a last user. */
  async isActive({ deviceId }: Volume): Promise<boolean> {
    return (await this.#find(this.#volumeName(deviceId))) !== undefined;
  }

  /**
   * Bytes of the blocks that a volume was given since it was made: what it does not share with its origin. Of an
   * administrator's pool, whose tables are not ours to read, only those that it has more than its origin.
   */
  async ownBytes(volume: Volume, origin: Volume): Promise<number> {
    const { isExternal, blockSectors } = this.#record;
    return await this.exclusive(async () => {
      if (isExternal) {
        const more = (await this.#mappedSectors(volume)) - (await this.#mappedSectors(origin));
        return Math.max(0, more) * sectorBytes;
      }
      await this.#holdTables();
      const fd = openSync(join(this.#folder, 'metadata'), 'r');
      try {
        // The pool's writes go through the loop device into this file's cache, so what is read is what it wrote.
        const own = countOwnBlocks((block) => {
          const bytes = Buffer.alloc(metadataBlockBytes);
          return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, Number(block) * bytes.length));
        }, volume.deviceId);
        return own * blockSectors * sectorBytes;
      } finally {
        closeSync(fd);
        await this.#message('release_metadata_snap');
      }
    });
  }

  /** Keeps the pool's tables as they are now for whoever reads them; the pool goes on with copies. */
  async #holdTables(): Promise<void> {
    try {
      await this.#message('reserve_metadata_snap');
    } catch (error) {
      // A dead process held them.
      if (!hasCode(error, 'EBUSY')) throw error;
      await this.#message('release_metadata_snap');
      await this.#message('reserve_metadata_snap');
    }
  }

  async #mappedSectors(volume: Volume): Promise<number> {
    await this.acquire(volume);
    try {
      const reply = await this.#mapper.run(deviceCommand.tableStatus(this.#volumeName(volume.deviceId)));
      return parseMappedSectors(decodeTable(reply)[0]?.parameters ?? '');
    } finally {
      await this.release(volume);
    }
  }

  /**
   * Deletes a volume; one that is not there is deleted.
   * @throws VarveError `conflict` EBUSY while it is in use.
   */
  async remove(volume: Volume): Promise<void> {
    await this.exclusive(async () => {
      const name = this.#volumeName(volume.deviceId);
      if (this.#users.has(volume.deviceId)) throw busy(name);
      // One whose removal waits for its last user stays until then.
      if (await this.#find(name)) await this.#stop(name, false);
      if (this.#options.discards) await this.#discard(volume);
      await this.#delete(volume.deviceId);
    });
  }

  /** Gives the blocks that only this volume has back to what is under the pool. */
  async #discard(volume: Volume): Promise<void> {
    let active: ActiveVolume;
    try {
      active = await this.acquire(volume);
    } catch (error) {
      // ENODATA: it was deleted before, and only its record was left.
      if (hasCode(error, 'ENODATA', 'EINVAL', 'ENXIO')) return;
      throw error;
    }
    try {
      await discardDisk(active.node);
    } catch (error) {
      if (!hasCode(error, 'EOPNOTSUPP')) throw error;
    } finally {
      await this.release(volume);
    }
  }

  /** False when there was none. */
  async #delete(deviceId: number): Promise<boolean> {
    try {
      await this.#message(`delete ${deviceId}`);
      return true;
    } catch (error) {
      if (hasCode(error, 'ENODATA')) return false;
      throw hasCode(error, 'EBUSY') ? busy(this.#volumeName(deviceId)) : error;
    }
  }

  /**
   * Ends devices that a dead process left, and goes on with those it had stopped half way.
   * @param isMounted by device number, as mountinfo prints it.
   */
  async clean(isMounted: (device: string) => boolean): Promise<readonly string[]> {
    return await this.exclusive(async () => {
      const report: string[] = [];
      for (const { name, state } of await this.#volumes()) {
        if (state.isSuspended) await this.#mapper.run(deviceCommand.resume(name));
        const { major, minor } = state.device;
        if (state.openCount > 0 || state.isGoing || isMounted(`${major}:${minor}`)) continue;
        if (this.#users.has(Number(name.slice(name.lastIndexOf('-') + 1)))) continue;
        await this.#stop(name, true);
        report.push(`removed the device ${name}, which nobody uses`);
      }
      return report;
    });
  }

  /** Ends what nobody uses, the pool's own device too, unless volumes are still in use. */
  async close(): Promise<void> {
    await this.exclusive(async () => {
      for (let attempt = 0; ; attempt++) {
        const volumes = await this.#volumes();
        for (const { name, state } of volumes) if (state.openCount === 0) await this.#stop(name, true);
        const isInUse = volumes.some(({ state }) => state.openCount > 0);
        if (volumes.length === 0 && !this.#record.isExternal) await this.#stop(this.#record.name, true);
        // A kernel thread does deferred removals.
        if (volumes.length === 0 || (isInUse && attempt > 2) || attempt >= busyAttempts) return;
        await delay(busyPauseMs);
      }
    });
  }

  async #volumes(): Promise<{ readonly name: string; readonly state: DeviceReply }[]> {
    const prefix = `${volumePrefix(this.#record)}-`;
    const found: { name: string; state: DeviceReply }[] = [];
    for (const name of decodeNames(await this.#mapper.run(deviceCommand.list()))) {
      if (!name.startsWith(prefix) || !/^\d+$/.test(name.slice(prefix.length))) continue;
      const state = await this.#find(name);
      if (state) found.push({ name, state });
    }
    return found;
  }

  #volumeName(deviceId: number): string {
    return `${volumePrefix(this.#record)}-${deviceId}`;
  }

  /** Name of a volume's device, for people. */
  deviceName({ deviceId }: Volume): string {
    return this.#volumeName(deviceId);
  }

  async #poolNumber(): Promise<string> {
    const { device } = await this.#mapper.run(deviceCommand.status(this.#record.name));
    return `${device.major}:${device.minor}`;
  }

  async #message(words: string): Promise<void> {
    await this.#mapper.run(deviceCommand.message(this.#record.name, words));
  }

  async #find(name: string): Promise<DeviceReply | undefined> {
    return await findDevice(this.#mapper, name);
  }

  async #stop(name: string, deferred: boolean): Promise<void> {
    await stopDevice(this.#mapper, name, deferred);
  }
}

/** An administrator's pool may have other devices named after it. */
function volumePrefix({ name, isExternal }: PoolRecord): string {
  return isExternal ? `varve-${name}` : name.replace(/-pool$/, '');
}
