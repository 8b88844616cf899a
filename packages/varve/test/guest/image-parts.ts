/** The parts of an engine that keep images and containers' trees, without the rest: what a guest can run in seconds. */
import { join } from 'node:path';
import { openContentStore } from '../../src/content/index.ts';
import { RegistryClient } from '../../src/distribution/index.ts';
import { beginOtherTree, ContainerStore, migrateStorage, removeOtherTree } from '../../src/engine/index.ts';
import { type LocalImage, LocalImageStore } from '../../src/image/index.ts';
import { State } from '../../src/state/index.ts';
import {
  chooseDriver,
  DeviceMapperDriver,
  Overlay2Driver,
  parseStorageOptions,
  type StorageDriverKind,
  VfsDriver,
} from '../../src/storage/index.ts';

const pool = parseStorageOptions(['dm.basesize=256M', 'dm.loopdatasize=600M', 'dm.loopmetadatasize=8M']);

/** The drivers that run in the guest. */
export function guestDrivers(snapshots: string): readonly StorageDriverKind[] {
  return [
    { name: 'vfs', create: () => new VfsDriver(snapshots) },
    { name: 'overlay2', create: () => new Overlay2Driver(snapshots) },
    { name: 'devicemapper', create: () => new DeviceMapperDriver(snapshots, pool) },
  ];
}

/** A data root that is open; @param driverName the driver whose snapshots it holds when absent. */
export async function openParts(root: string, driverName?: string) {
  const state = new State(join(root, 'state.db'));
  const content = openContentStore({ root, state, grace: 0 });
  const snapshots = join(root, 'snapshots');
  const driver = await chooseDriver(guestDrivers(snapshots), snapshots, { requested: driverName });
  await driver.recover();
  const client = new RegistryClient({ userAgent: 'varve' });
  const images = new LocalImageStore({ state, content, driver, client });
  return {
    content,
    driver,
    images,
    containers: new ContainerStore(state),
    async [Symbol.asyncDispose](): Promise<void> {
      await driver.close();
      await client[Symbol.asyncDispose]();
      state.close();
    },
  };
}

export type Parts = Awaited<ReturnType<typeof openParts>>;

/** An image of what an active snapshot changed, on the one that it was made of. */
export async function commitImage(
  { driver, content, images }: Parts,
  key: string,
  parent: LocalImage,
  reference: string,
): Promise<LocalImage> {
  const path = content.temporaryPath();
  const layer = await images.addLayer(await driver.diff(key, path, 'gzip'), path);
  const rootfs = { type: 'layers', diff_ids: [...parent.config.rootfs.diff_ids, layer.diffId] } as const;
  const history = [...(parent.config.history ?? []), { created_by: key }];
  return await images.create({ config: { ...parent.config, rootfs, history }, parent: parent.id }, [
    reference,
  ]);
}

/** What `varve system migrate` does to a root that nobody uses. */
export async function migrateRoot(
  root: string,
  target: string,
  onStep: (text: string) => void = () => undefined,
): Promise<void> {
  await removeOtherTree(root, guestDrivers);
  await using parts = await openParts(root);
  const other = await beginOtherTree(root, guestDrivers);
  const to = await chooseDriver(guestDrivers(other), other, { requested: target });
  try {
    const { driver: from, content, images, containers } = parts;
    const job = { root, kinds: guestDrivers, from, to, content, images, containers, cached: [] };
    await migrateStorage(job, { onStep });
  } finally {
    await to.close();
    await removeOtherTree(root, guestDrivers);
  }
}
