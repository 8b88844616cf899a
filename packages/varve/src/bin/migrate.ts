import { join } from 'node:path';
import { formatBytes, VarveError } from '../base/index.ts';
import { Builder, builderSchema } from '../builder/index.ts';
import type { CommandContext, ParsedArguments } from '../cli/index.ts';
import { openContentStore } from '../content/index.ts';
import { RegistryClient } from '../distribution/index.ts';
import {
  beginOtherTree,
  ContainerStore,
  Engine,
  type MigrationParts,
  migrateStorage,
  planMigration,
  removeOtherTree,
  snapshotFolders,
} from '../engine/index.ts';
import { LocalImageStore } from '../image/index.ts';
import { close } from '../linux/index.ts';
import { openState } from '../state/index.ts';
import { chooseDriver, parseStorageOptions } from '../storage/index.ts';
import { defaultConfigFile, mergeSettings, readSettings } from './engine-settings.ts';
import { storageDriverKinds } from './storage-drivers.ts';

/**
 * `varve system migrate`: moves a data root to another storage driver while no engine uses it.
 * @throws VarveError `conflict` while one does.
 */
export async function runMigration(context: CommandContext, { flags }: ParsedArguments): Promise<void> {
  const { terminal, signal } = context;
  const target = flags.string('storage-driver');
  if (target === undefined) {
    throw new VarveError('invalid', 'DRIVER_MISSING', 'say which driver with --storage-driver');
  }
  const configFile = flags.string('config-file');
  const file = readSettings(configFile ?? defaultConfigFile, configFile !== undefined);
  const dataRoot = flags.string('data-root');
  const settings = mergeSettings(file, dataRoot === undefined ? {} : { 'data-root': dataRoot });
  const root = settings['data-root'] ?? '/var/lib/varve';
  const lock = Engine.lockRoot(root);
  try {
    const { current } = snapshotFolders(root);
    const { state } = openState(join(root, 'state.db'), join(root, 'quarantine'));
    using _state = state;
    const content = openContentStore({ root, state, grace: 0 });
    await removeOtherTree(root, storageDriverKinds);
    const source = file['storage-driver'] === target ? undefined : file['storage-driver'];
    const from = await chooseDriver(storageDriverKinds(current), current, { requested: source });
    await using closing = new AsyncDisposableStack();
    closing.defer(() => from.close());
    await from.recover();
    if (from.name === target) {
      terminal.print(`${root} uses ${target} already`);
      return;
    }
    const other = await beginOtherTree(root, storageDriverKinds);
    try {
      const to = await chooseDriver(storageDriverKinds(other), other, {
        requested: target,
        options: parseStorageOptions(flags.list('storage-opt')),
      });
      // Before its tree goes.
      await using closingTarget = new AsyncDisposableStack();
      closingTarget.defer(() => to.close());
      const client = new RegistryClient({ userAgent: 'varve' });
      const images = new LocalImageStore({ state, content, driver: from, client });
      state.migrate(builderSchema);
      const parts: MigrationParts = {
        root,
        kinds: storageDriverKinds,
        from,
        to,
        content,
        images,
        containers: new ContainerStore(state),
        cached: Builder.cachedLayers(state),
      };
      const plan = await planMigration(parts);
      terminal.print(
        `${from.name} to ${to.name}: ${plan.layers} layers, ${plan.containers} containers, about ${formatBytes(plan.bytesNeeded)} (${plan.bytesNeeded} bytes) needed, ${formatBytes(plan.bytesFree)} free`,
      );
      if (flags.boolean('dry-run')) return;
      await migrateStorage(parts, { signal, onStep: (text) => terminal.print(text) });
    } finally {
      // Nothing is left of what did not come to its end.
      await removeOtherTree(root, storageDriverKinds);
    }
  } finally {
    close(lock);
  }
}
