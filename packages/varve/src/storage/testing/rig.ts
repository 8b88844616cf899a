import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Change, LayerBlob } from '../../layer/index.ts';
import { mountsBelow, unmount } from '../../linux/index.ts';
import type { TestDisk } from '../../linux/testing/index.ts';
import { type ChainID, chainId, type DiffID, digestOf } from '../../oci/index.ts';
import type { LayerToApply, StorageDriver } from '../types.ts';
import { type Listing, type ListingOptions, listTree } from './listing.ts';
import { makeTar, type TestEntry } from './tar.ts';

/** A driver under test and how it differs from others where they may differ. */
export interface DriverUnderTest {
  readonly name: string;
  create(root: string): StorageDriver;
  /** Module and exported class, for tests in which another process runs the driver and is killed. */
  readonly module: URL;
  readonly exported: string;
  /** What rename(2) of a folder of the parent does. */
  readonly renamesLowerFolders: boolean;
  /** True for a driver that can limit what a container writes. */
  readonly keepsSizes?: boolean;
  /** False where syncfs(2) of a mount reaches no disk, as the kernel does not hand it on to a FUSE server. */
  readonly handsOnSyncfs?: boolean;
  /** Where data roots are made; `/var/tmp` when absent. */
  readonly folder?: string;
  /** A disk of about 128 MiB that the driver can stand on; ext4 when absent. */
  readonly disk?: () => TestDisk;
  /** Mebibytes that do not fit on that disk, or into what the driver makes of it; 160 when absent. */
  readonly overfull?: number;
  /** At how many moments of a job another process is killed; 6 when absent. Fewer where starting one takes seconds. */
  readonly kills?: number;
}

/** A data root for one test, with a driver on it. */
export class Rig implements AsyncDisposable {
  readonly root: string;
  readonly #under: DriverUnderTest;
  driver: StorageDriver;
  #files = 0;

  /** @param folder where the data root is made. */
  constructor(under: DriverUnderTest, folder = under.folder ?? '/var/tmp') {
    this.root = mkdtempSync(join(folder, 'varve-storage-'));
    this.#under = under;
    this.driver = under.create(this.snapshots);
  }

  /** Folder of the drivers. */
  get snapshots(): string {
    return join(this.root, 'snapshots');
  }

  /** The driver's own folder. */
  get folder(): string {
    return join(this.snapshots, this.#under.name);
  }

  /** As a restarted engine would: a new driver over what is on disk. */
  async reopen(): Promise<void> {
    await this.driver.close();
    this.driver = this.#under.create(this.snapshots);
  }

  /** A path in the data root that is not there yet. */
  path(): string {
    return join(this.root, `file-${this.#files++}`);
  }

  /** Writes a layer's archive and says how to apply it on `parent`. */
  layer(parent: ChainID | undefined, entries: readonly TestEntry[]): LayerToApply {
    const tar = makeTar(entries);
    const path = this.path();
    writeFileSync(path, tar);
    const diffId: DiffID = digestOf(tar);
    return { chainId: chainId(parent, diffId), parent, diffId, path, compression: 'auto' };
  }

  /** Applies a layer and gives its name. */
  async apply(parent: ChainID | undefined, entries: readonly TestEntry[]): Promise<ChainID> {
    const layer = this.layer(parent, entries);
    await this.driver.apply(layer);
    return layer.chainId;
  }

  /** Makes a committed snapshot by doing something in an active one. */
  async commit(parent: ChainID | undefined, work: (root: string) => void, name?: string): Promise<ChainID> {
    const key = `step-${this.#files++}`;
    await this.active(key, parent, work);
    const chain = digestOf(name ?? `${parent} ${key}`);
    await this.driver.commit(key, chain);
    return chain;
  }

  /** Makes an active snapshot and does something in it. */
  async active(key: string, parent: ChainID | undefined, work: (root: string) => void): Promise<void> {
    await this.driver.prepare(key, parent);
    await this.within(key, work);
  }

  /** Does something in a mounted snapshot. */
  async within<T>(key: string, work: (root: string) => T): Promise<T> {
    const root = await this.driver.mount(key);
    try {
      return work(root);
    } finally {
      await this.driver.unmount(key);
    }
  }

  async list(key: string, options?: ListingOptions): Promise<Listing> {
    return await this.within(key, (root) => listTree(root, options));
  }

  /** Changes as `docker diff` prints them. */
  async changes(key: string): Promise<string[]> {
    return (await this.driver.changes(key)).map(changeLine);
  }

  /** Writes the diff of an active snapshot and applies it on the same parent as a layer of its own. */
  async reapply(
    key: string,
  ): Promise<{ readonly chain: ChainID; readonly size: number; readonly blob: LayerBlob }> {
    const path = this.path();
    const blob = await this.driver.diff(key, path, 'gzip');
    const parent = this.driver.info(key)?.parent;
    const chain = chainId(parent, blob.diffId);
    const applied = await this.driver.apply({
      chainId: chain,
      parent,
      diffId: blob.diffId,
      path,
      compression: 'gzip',
    });
    return { chain, size: applied.size, blob };
  }

  /** What of unfinished work is on disk. */
  leftovers(): string[] {
    return ['staging', 'trash'].flatMap((name) => {
      const folder = join(this.folder, name);
      try {
        return readdirSync(folder).map((entry) => join(name, entry));
      } catch {
        return [];
      }
    });
  }

  /** A plain folder beside the driver's, to compare with. */
  plainFolder(): string {
    const path = this.path();
    mkdirSync(path);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.close().catch(() => undefined);
    for (const { target } of mountsBelow(this.root).reverse()) unmount(target, { detach: true });
    rmSync(this.root, { recursive: true, force: true });
  }
}

const letters = { add: 'A', modify: 'C', delete: 'D' } as const;

function changeLine({ kind, path }: Change): string {
  return `${letters[kind]} ${path}`;
}
