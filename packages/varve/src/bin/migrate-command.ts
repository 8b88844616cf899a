import type { Command } from '../cli/index.ts';
import { configFileFlag } from './engine-command.ts';

/** `varve system migrate`: another storage driver for what there is. */
export const migrateCommand: Command = {
  path: ['system', 'migrate'],
  group: 'system',
  summary: 'Move all images and containers to another storage driver',
  description:
    'Works on a data root that no engine uses and no container runs from. The new tree is built beside the old one, compared with it and put in its place in one step: whenever it is broken off, all is as it was. Needs room for both trees. Start the engine afterwards without --storage-driver, or with the new one.',
  usage: '--storage-driver DRIVER [OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'storage-driver', short: 's', type: 'string', value: 'driver', description: 'The new driver' },
    { name: 'storage-opt', type: 'list', value: 'option', description: 'Option of the new driver' },
    {
      name: 'data-root',
      type: 'string',
      value: 'folder',
      description: 'Folder of the engine (default /var/lib/varve)',
    },
    configFileFlag,
    { name: 'dry-run', type: 'boolean', description: 'Only say what there is to move and what it needs' },
  ],
  examples: [
    { command: 'varve system migrate --storage-driver erofs --dry-run', does: 'Say what it would take' },
    { command: 'varve system migrate --storage-driver erofs', does: 'Do it' },
  ],
  run: async (context, parsed) => {
    const { runMigration } = await import('./migrate.ts');
    await runMigration(context, parsed);
  },
};
