import { VarveError } from '../../base/index.ts';
import type { Command } from '../command.ts';

export const copyCommand: Command = {
  path: ['cp'],
  aliases: [['container', 'cp']],
  group: 'container',
  summary: 'Copy files between a container and this machine',
  usage: '[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH',
  arity: { min: 2, max: 2 },
  flags: [
    { name: 'archive', short: 'a', type: 'boolean', description: 'Keep owners' },
    { name: 'follow-link', short: 'L', type: 'boolean', description: 'Copy what a link points to' },
    { name: 'quiet', short: 'q', type: 'boolean', hidden: true, description: '' },
  ],
  examples: [
    { command: 'varve cp web:/etc/passwd .', does: 'Out of a container' },
    { command: 'varve cp ./site/. web:/srv/www', does: 'The contents of a folder into one' },
  ],
  completes: ['container', 'file'],
  run: async (context, { flags, arguments: [from = '', to = ''] }) => {
    // Loaded only here: archives bring half the library along.
    const { copyIn, copyOut, place } = await import('../copy-files.ts');
    const source = place(from);
    const destination = place(to);
    const engine = await context.engine();
    if (source.container !== undefined && destination.container !== undefined)
      throw new VarveError('invalid', 'USAGE', 'copying between containers is not supported');
    if (source.container !== undefined)
      await copyOut(
        context,
        engine,
        source.container,
        source.path,
        destination.path,
        flags.boolean('follow-link'),
      );
    else if (destination.container !== undefined) {
      await copyIn(context, engine, source.path, destination.container, destination.path, {
        follow: flags.boolean('follow-link'),
        keepOwner: flags.boolean('archive'),
      });
    } else throw new VarveError('invalid', 'USAGE', 'must specify at least one container source');
  },
};
