import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { randomId } from '../base/index.ts';
import type { LayerBlob } from '../layer/index.ts';
import { type ChainID, chainId, type DiffID } from '../oci/index.ts';
import type { BuilderOptions } from './types.ts';

/** A layer that one step made. */
export interface MadeLayer {
  readonly diffId: DiffID;
  readonly chain: ChainID;
  readonly size: number;
}

/** The mutable side of one build: snapshots, mounts and temporary folders, all gone when it is disposed. */
export class Workspace implements AsyncDisposable {
  readonly #options: BuilderOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #folder: string;
  readonly #mounted = new Map<ChainID, string>();
  readonly #scratch: string[] = [];
  #made = false;

  constructor(options: BuilderOptions, signal: AbortSignal | undefined) {
    this.#options = options;
    this.#signal = signal;
    this.#folder = join(options.root, 'builds', randomId());
  }

  /** A new folder that lives as long as the build. */
  temporaryFolder(): string {
    const folder = join(this.#folder, randomId().slice(0, 12));
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#made = true;
    return folder;
  }

  /** The read-only root of a committed snapshot, mounted until the build ends; an empty folder for no layers. */
  async committed(chain: ChainID | undefined): Promise<string> {
    if (chain === undefined) return this.temporaryFolder();
    let root = this.#mounted.get(chain);
    if (root === undefined) {
      root = await this.#options.driver.mount(chain, { readOnly: true });
      this.#mounted.set(chain, root);
    }
    return root;
  }

  /** A writable copy of a committed snapshot whose changes are dropped when the build ends. */
  async writableCopy(chain: ChainID | undefined): Promise<string> {
    const { driver } = this.#options;
    const key = randomId();
    await driver.prepare(key, chain);
    this.#scratch.push(key);
    return driver.mount(key);
  }

  /**
   * Does `work` on a writable snapshot over `parent` and keeps what it changed as a layer.
   * @param work gets the mounted root; false means that there is nothing to keep.
   * @returns undefined when nothing was kept. Whatever happens, no snapshot is left half done.
   */
  async layer(
    id: string,
    parent: ChainID | undefined,
    work: (root: string) => Promise<boolean>,
  ): Promise<MadeLayer | undefined> {
    const { driver, images, content, compression = 'gzip' } = this.#options;
    await driver.prepare(id, parent);
    let output: string | undefined;
    try {
      const root = await driver.mount(id);
      let keep: boolean;
      try {
        keep = await work(root);
      } finally {
        await driver.unmount(id);
      }
      if (!keep) {
        await driver.remove(id);
        return undefined;
      }
      output = content.temporaryPath();
      const blob: LayerBlob = await driver.diff(
        id,
        output,
        compression,
        this.#signal === undefined ? {} : { signal: this.#signal },
      );
      await images.addLayer(blob, output);
      output = undefined;
      const chain = chainId(parent, blob.diffId);
      await driver.commit(id, chain);
      return { diffId: blob.diffId, chain, size: blob.size };
    } catch (error) {
      if (output !== undefined) rmSync(output, { force: true });
      await driver.remove(id);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { driver } = this.#options;
    for (const chain of this.#mounted.keys()) await driver.unmount(chain);
    for (const key of this.#scratch) {
      await driver.unmount(key);
      await driver.remove(key);
    }
    if (this.#made) rmSync(this.#folder, { recursive: true, force: true });
  }
}
