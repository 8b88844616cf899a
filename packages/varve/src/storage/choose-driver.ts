import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import type { StorageOption } from './options.ts';
import { holdings } from './tree/snapshot-tree.ts';
import type { StorageDriver } from './types.ts';

/** A storage driver that an engine can be given: its name, and how it is made when it is chosen. */
export interface StorageDriverKind {
  readonly name: string;
  /** @throws VarveError `invalid` for an option that the driver does not know. */
  create(options: readonly StorageOption[]): StorageDriver;
}

export interface ChooseOptions {
  /** Name of the driver asked for. */
  readonly requested?: string | undefined;
  /** For the driver that is chosen. */
  readonly options?: readonly StorageOption[];
}

/**
 * Picks the storage driver of a data root: the one asked for; else the one whose snapshots the root holds; else the
 * first of `kinds`, best first, that can run here.
 * @param root folder in which each driver keeps to its own name.
 * @throws VarveError `invalid` for an unknown name or option, `unavailable` when the driver cannot run here, `conflict` when
 * the root holds snapshots of several.
 */
export async function chooseDriver(
  kinds: readonly StorageDriverKind[],
  root: string,
  { requested, options = [] }: ChooseOptions = {},
): Promise<StorageDriver> {
  if (requested !== undefined)
    return await usable(create(byName(kinds, requested), options), 'was asked for');
  const held = kinds.filter(({ name }) => holdings(join(root, name)).length > 0);
  if (held.length > 1) {
    const names = held.map(({ name }) => name).join(', ');
    throw new VarveError(
      'conflict',
      'STORAGE_DRIVER_AMBIGUOUS',
      `${root} contains several valid graphdrivers: ${names}`,
      { subject: root, hint: 'choose one with --storage-driver' },
    );
  }
  if (held[0]) return await usable(create(held[0], options), `has snapshots in ${root}`);
  const reasons: string[] = [];
  for (const kind of kinds) {
    const driver = create(kind, options);
    const probe = await driver.probe();
    if (probe.ok) return driver;
    reasons.push(`${kind.name}: ${probe.reason}`);
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

/** As dockerd says what is wrong with a driver's options. */
function create(kind: StorageDriverKind, options: readonly StorageOption[]): StorageDriver {
  try {
    return kind.create(options);
  } catch (error) {
    if (!VarveError.is(error) || error.kind !== 'invalid') throw error;
    const { code, subject, hint, message } = error;
    throw new VarveError('invalid', code, `error initializing graphdriver: ${message}`, {
      ...(subject === undefined ? {} : { subject }),
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
  }
}

function byName(kinds: readonly StorageDriverKind[], name: string): StorageDriverKind {
  const kind = kinds.find((item) => item.name === name);
  if (kind) return kind;
  throw new VarveError('invalid', 'UNKNOWN_STORAGE_DRIVER', `unknown storage driver "${name}"`, {
    subject: name,
    hint: `known drivers: ${kinds.map((item) => item.name).join(', ')}`,
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
