import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import { holdings } from './tree/snapshot-tree.ts';
import type { StorageDriver } from './types.ts';

/**
 * Picks the storage driver of a data root: the one asked for; else the one whose snapshots the root holds; else the
 * first of `drivers`, best first, that can run here.
 * @param root folder in which each driver keeps to its own name.
 * @throws VarveError `invalid` for an unknown name, `unavailable` when the driver cannot run here, `conflict` when the root
 * holds snapshots of several.
 */
export async function chooseDriver(
  drivers: readonly StorageDriver[],
  root: string,
  requested?: string,
): Promise<StorageDriver> {
  if (requested !== undefined) return await usable(byName(drivers, requested), 'was asked for');
  const held = drivers.filter(({ name }) => holdings(join(root, name)).length > 0);
  if (held.length > 1) {
    const names = held.map(({ name }) => name).join(', ');
    throw new VarveError(
      'conflict',
      'STORAGE_DRIVER_AMBIGUOUS',
      `${root} contains several valid graphdrivers: ${names}`,
      { subject: root, hint: 'choose one with --storage-driver' },
    );
  }
  if (held[0]) return await usable(held[0], `has snapshots in ${root}`);
  const reasons: string[] = [];
  for (const driver of drivers) {
    const probe = await driver.probe();
    if (probe.ok) return driver;
    reasons.push(`${driver.name}: ${probe.reason}`);
  }
  throw new VarveError(
    'unavailable',
    'NO_STORAGE_DRIVER',
    `no storage driver can run here (${reasons.join('; ')})`,
    {
      subject: root,
    },
  );
}

function byName(drivers: readonly StorageDriver[], name: string): StorageDriver {
  const driver = drivers.find((item) => item.name === name);
  if (driver) return driver;
  throw new VarveError('invalid', 'UNKNOWN_STORAGE_DRIVER', `unknown storage driver "${name}"`, {
    subject: name,
    hint: `known drivers: ${drivers.map((item) => item.name).join(', ')}`,
  });
}

async function usable(driver: StorageDriver, why: string): Promise<StorageDriver> {
  const probe = await driver.probe();
  if (probe.ok) return driver;
  throw new VarveError(
    'unavailable',
    'STORAGE_DRIVER_UNUSABLE',
    `the storage driver ${driver.name} ${why}, but cannot run here: ${probe.reason}`,
    { subject: driver.name },
  );
}
