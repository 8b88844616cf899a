/** Works on a storage driver until the disk dies, and tells its parent each step before and after it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChainID, chainId, digestOf } from '../../src/oci/index.ts';
import type { StorageDriver } from '../../src/storage/index.ts';
import { contentOf, layerOf, type PowerReport, type PowerStep, stepFile, stepFiles } from './power-work.ts';

/** Where to go on; a message to this process. */
export interface PowerOrder {
  readonly module: string;
  readonly exported: string;
  readonly root: string;
  /** A folder on another disk, for the layers' archives. */
  readonly blobs: string;
  readonly round: number;
  /** The snapshots that are there, children before their parents: removed first. */
  readonly old: readonly string[];
}

const stackHeight = 3;

class Worker {
  readonly #driver: StorageDriver;
  readonly #order: PowerOrder;

  constructor(driver: StorageDriver, order: PowerOrder) {
    this.#driver = driver;
    this.#order = order;
  }

  async work(): Promise<void> {
    let old = [...this.#order.old];
    for (let round = this.#order.round; ; ) {
      const made: string[] = [];
      let top: ChainID | undefined;
      for (let height = 0; height < stackHeight; height++, round++) {
        const applied = await this.#apply(round, top);
        const committed = await this.#buildStep(round, applied);
        made.unshift(applied);
        made.unshift(committed);
        top = committed;
      }
      for (const key of old) await this.#step({ kind: 'remove', key, round }, () => this.#driver.remove(key));
      old = made;
    }
  }

  async #apply(round: number, parent: ChainID | undefined): Promise<ChainID> {
    const tar = layerOf(round);
    const path = join(this.#order.blobs, 'layer.tar');
    writeFileSync(path, tar);
    const diffId = digestOf(tar);
    const key = chainId(parent, diffId);
    const step: PowerStep = { kind: 'apply', key, round, ...(parent === undefined ? {} : { parent }) };
    await this.#step(step, async () => {
      await this.#driver.apply({ chainId: key, parent, diffId, path, compression: 'none' });
    });
    return key;
  }

  async #buildStep(round: number, parent: ChainID): Promise<ChainID> {
    const box = `box ${round}`;
    await this.#step({ kind: 'prepare', key: box, parent, round }, () => this.#driver.prepare(box, parent));
    const root = await this.#driver.mount(box);
    for (let index = 0; index < stepFiles; index++)
      writeFileSync(join(root, stepFile(round, index)), contentOf(round, index + 100));
    await this.#driver.unmount(box);
    const key = digestOf(`step ${round}`);
    await this.#step({ kind: 'commit', key, parent: box, round }, () => this.#driver.commit(box, key));
    return key;
  }

  async #step(step: PowerStep, work: () => Promise<void>): Promise<void> {
    say({ when: 'begin', step });
    await work();
    say({ when: 'done', step });
  }
}

function say(report: PowerReport): void {
  process.send?.(report);
}

process.on('message', (order: PowerOrder) => {
  void (async () => {
    const module = (await import(order.module)) as Record<string, new (root: string) => StorageDriver>;
    const Driver = module[order.exported];
    if (!Driver) throw new Error(`${order.module} exports no ${order.exported}`);
    let driver: StorageDriver | undefined;
    try {
      driver = new Driver(order.root);
      await new Worker(driver, order).work();
    } catch (error) {
      await driver?.close().catch(() => undefined);
      say({ when: 'failed', step: { kind: 'remove', key: '', round: 0 }, error: String(error) });
    }
  })();
});
