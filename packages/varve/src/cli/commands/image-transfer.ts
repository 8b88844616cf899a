import type { Readable } from 'node:stream';
import { VarveError } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { lookUpCredentials } from '../credentials.ts';
import { changeFlag, messageFlag } from '../image-change-flags.ts';
import { canonicalReferenceOf, registryOf, splitTag } from '../names.ts';
import { archiveOutput } from '../output/archive.ts';
import { showProgress } from '../output/transfer.ts';

const platformFlag = {
  name: 'platform',
  type: 'string',
  value: 'platform',
  description: 'Platform: os/arch[/variant]',
} as const;

const pull: Command = {
  path: ['pull'],
  aliases: [['image', 'pull']],
  group: 'common',
  summary: 'Download an image from a registry',
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  arity: { min: 1, max: 1 },
  flags: [
    platformFlag,
    { name: 'quiet', short: 'q', type: 'boolean', description: 'Only print the name' },
    { name: 'disable-content-trust', type: 'boolean', hidden: true, description: '' },
  ],
  examples: [{ command: 'varve pull 127.0.0.1:5000/app:1', does: 'From a registry on this machine' }],
  completes: ['image'],
  run: async (context, { flags, arguments: [name = ''] }) => {
    const { repo, tag } = splitTag(name);
    const quiet = flags.boolean('quiet');
    if (!quiet && !/[:@][^/]*$/.test(name)) context.terminal.print('Using default tag: latest');

    const lines = (await context.engine()).images.pull(
      { image: repo, tag },
      {
        auth: await lookUpCredentials(context.environment, registryOf(name)),
        platform: flags.string('platform'),
        signal: context.signal,
      },
    );
    await showProgress(context.terminal, lines, { quiet });
    context.terminal.print(canonicalReferenceOf(name));
  },
};

const push: Command = {
  path: ['push'],
  aliases: [['image', 'push']],
  group: 'common',
  summary: 'Upload an image to a registry',
  usage: '[OPTIONS] NAME[:TAG]',
  arity: { min: 1, max: 1 },
  flags: [
    { name: 'quiet', short: 'q', type: 'boolean', description: 'Only print the name' },
    { name: 'disable-content-trust', type: 'boolean', hidden: true, description: '' },
  ],
  examples: [{ command: 'varve push 127.0.0.1:5000/app:1', does: 'To a registry on this machine' }],
  completes: ['image'],
  run: async (context, { flags, arguments: [name = ''] }) => {
    const { repo, tag } = splitTag(name);
    const quiet = flags.boolean('quiet');
    if (!quiet && !/:[^/]*$/.test(name)) context.terminal.print('Using default tag: latest');

    const lines = (await context.engine()).images.push(repo, {
      tag,
      auth: await lookUpCredentials(context.environment, registryOf(name)),
      signal: context.signal,
    });
    await showProgress(context.terminal, lines, { quiet });
    if (quiet) context.terminal.print(canonicalReferenceOf(name));
  },
};

/** A file to be read; one that is not there fails before anything is asked of the engine. */
async function openFile(path: string): Promise<Readable> {
  const { open } = await import('node:fs/promises');
  return (await open(path)).createReadStream({ highWaterMark: 1 << 20 });
}

const save: Command = {
  path: ['save'],
  aliases: [['image', 'save']],
  group: 'image',
  summary: 'Write images to a tar (OCI layout and docker-archive in one)',
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  arity: { min: 1 },
  flags: [{ name: 'output', short: 'o', type: 'string', value: 'file', description: 'Write to a file' }],
  examples: [{ command: 'varve save app | docker load', does: 'To another engine' }],
  completes: ['image'],
  run: async (context, { flags, arguments: names }) => {
    const write = archiveOutput(context.terminal, flags.string('output'), 'failed to save image');
    await write(await (await context.engine()).images.save(names, { signal: context.signal }));
  },
};

const load: Command = {
  path: ['load'],
  aliases: [['image', 'load']],
  group: 'image',
  summary: 'Read images from a tar of docker save, podman save or an OCI layout',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'input', short: 'i', type: 'string', value: 'file', description: 'Read from a file' },
    { name: 'quiet', short: 'q', type: 'boolean', description: 'Suppress progress' },
  ],
  examples: [{ command: 'docker save app | varve load', does: 'From another engine' }],
  run: async (context, { flags }) => {
    const input = flags.string('input');
    if (input === undefined && context.terminal.stdin.isTTY) {
      throw new VarveError('invalid', 'USAGE', 'requested load from stdin, but stdin is empty');
    }
    const archive = input === undefined ? context.terminal.stdin : await openFile(input);
    await showProgress(
      context.terminal,
      (await context.engine()).images.load(archive, { quiet: true, signal: context.signal }),
    );
  },
};

const importCommand: Command = {
  path: ['import'],
  aliases: [['image', 'import']],
  group: 'image',
  summary: 'Make an image of one layer from a tar of a root file system',
  usage: '[OPTIONS] FILE|- [REPOSITORY[:TAG]]',
  arity: { min: 1, max: 2 },
  flags: [changeFlag, messageFlag, platformFlag],
  examples: [
    { command: 'varve import -c \'CMD ["bash"]\' root.tar debian:bookworm', does: 'From a debootstrap' },
  ],
  completes: ['file', 'image'],
  run: async (context, { flags, arguments: [file = '', name] }) => {
    const target = name === undefined ? {} : splitTag(name);
    const archive = file === '-' ? context.terminal.stdin : await openFile(file);
    await showProgress(
      context.terminal,
      (await context.engine()).images.import(archive, {
        ...target,
        message: flags.string('message'),
        changes: flags.list('change'),
        platform: flags.string('platform'),
        signal: context.signal,
      }),
    );
  },
};

/** Commands that move images between engines, registries and files. */
export const imageTransferCommands: readonly Command[] = [pull, push, save, load, importCommand];
