import type { ChainID } from '../../oci/index.ts';
import type { LayerToApply, StorageDriver } from '../types.ts';

/** What the process that will be killed does, again and again until then. */
export type CrashJob =
  | { readonly type: 'apply'; readonly layer: LayerToApply }
  | { readonly type: 'commit'; readonly key: string; readonly chain: ChainID }
  | { readonly type: 'remove'; readonly key: string }
  | {
      readonly type: 'live';
      readonly key: string;
      readonly parent: ChainID;
      readonly size?: number;
    };

export interface CrashOrder {
  readonly module: string;
  readonly exported: string;
  readonly root: string;
  readonly job: CrashJob;
}

async function perform(driver: StorageDriver, job: CrashJob): Promise<void> {
  switch (job.type) {
    case 'apply':
      await driver.apply(job.layer);
      break;
    case 'commit':
      await driver.commit(job.key, job.chain);
      break;
    case 'remove':
      await driver.remove(job.key);
      break;
    case 'live':
      await driver.prepare(job.key, job.parent, job.size === undefined ? {} : { size: job.size });
      await driver.mount(job.key);
      await driver.unmount(job.key);
      await driver.remove(job.key);
  }
  await driver.close();
}

process.once('message', (order: CrashOrder) => {
  void (async () => {
    const module = (await import(order.module)) as Record<string, new (root: string) => StorageDriver>;
    const Driver = module[order.exported];
    if (!Driver) throw new Error(`${order.module} exports no ${order.exported}`);
    const driver = new Driver(order.root);
    process.send?.('started');
    await perform(driver, order.job);
    process.send?.('done');
    process.disconnect();
  })();
});
