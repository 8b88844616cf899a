import { writeFileSync } from 'node:fs';
import { parseBytes } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { confirm } from '../confirm.ts';
import { dockerConfig, lookUpCredentials } from '../credentials.ts';
import { filtersOf } from '../output/list.ts';
import { printPruned } from '../output/pruned.ts';
import { showProgress } from '../output/transfer.ts';

/** `A=1` gives a value, `A` takes the caller's, or none. */
function buildArguments(
  entries: readonly string[],
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string | null> {
  return Object.fromEntries(
    entries.map((entry) => {
      const equals = entry.indexOf('=');
      return equals === -1 ? [entry, own[entry] ?? null] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

const build: Command = {
  path: ['build'],
  aliases: [
    ['image', 'build'],
    ['builder', 'build'],
  ],
  group: 'common',
  summary: 'Build an image from a Dockerfile',
  usage: '[OPTIONS] PATH | -',
  arity: { min: 1, max: 1 },
  flags: [
    {
      name: 'add-host',
      type: 'list',
      value: 'host:ip',
      description: 'Add a line to /etc/hosts of RUN steps',
    },
    { name: 'build-arg', type: 'list', value: 'name=value', description: 'Value of an ARG' },
    { name: 'cache-from', type: 'list', value: 'image', description: 'Images to take cached layers from' },
    {
      name: 'file',
      short: 'f',
      type: 'string',
      value: 'file',
      description: 'The Dockerfile (default PATH/Dockerfile)',
    },
    { name: 'force-rm', type: 'boolean', hidden: true, description: '' },
    { name: 'iidfile', type: 'string', value: 'file', description: "Write the image's id to a file" },
    { name: 'label', type: 'list', value: 'name=value', description: 'Set a label' },
    { name: 'memory', short: 'm', type: 'string', value: 'bytes', description: 'Memory limit of RUN steps' },
    { name: 'network', type: 'string', value: 'mode', description: 'Network of RUN steps' },
    { name: 'no-cache', type: 'boolean', description: 'Use no cached steps' },
    { name: 'platform', type: 'string', value: 'platform', description: 'Platform of the image' },
    { name: 'pull', type: 'boolean', description: 'Look for newer base images' },
    { name: 'quiet', short: 'q', type: 'boolean', description: 'Only print the id' },
    { name: 'rm', type: 'boolean', default: true, hidden: true, description: '' },
    { name: 'shm-size', type: 'string', value: 'bytes', description: 'Size of /dev/shm of RUN steps' },
    {
      name: 'tag',
      short: 't',
      type: 'list',
      value: 'name',
      description: 'Name of the image; may be given several times',
    },
    { name: 'target', type: 'string', value: 'stage', description: 'Stage to build' },
  ],
  examples: [
    { command: 'varve build -t app .', does: 'The Dockerfile of this folder' },
    {
      command: 'varve build -t app --build-arg VERSION=2 --target test .',
      does: 'One stage, with an argument',
    },
  ],
  completes: ['file'],
  run: async (context, { flags, arguments: [path = ''] }) => {
    const { terminal } = context;
    const file = flags.string('file');
    // Loaded only here: archives bring half the library along.
    const { openContext } = await import('../build-context.ts');
    const { body, dockerfile } = await openContext(path, file, terminal.stdin);
    const bytes = (name: string): number | undefined =>
      flags.string(name) === undefined ? undefined : parseBytes(flags.string(name) as string);
    const hosts = (await dockerConfig(context.environment)).hosts();
    const auths: Record<string, object> = {};
    for (const host of hosts) auths[host] = (await lookUpCredentials(context.environment, host)) ?? {};
    const quiet = flags.boolean('quiet');
    const lines = (await context.engine()).images.build(body, {
      t: flags.list('tag'),
      dockerfile,
      buildargs: buildArguments(flags.list('build-arg'), context.environment),
      labels: Object.fromEntries(
        flags
          .list('label')
          .map((entry) => [entry.split('=')[0] as string, entry.slice(entry.indexOf('=') + 1)]),
      ),
      target: flags.string('target'),
      nocache: flags.boolean('no-cache'),
      pull: flags.boolean('pull'),
      platform: flags.string('platform'),
      networkmode: flags.string('network'),
      extrahosts: flags.list('add-host'),
      cachefrom: flags.list('cache-from'),
      memory: bytes('memory'),
      shmsize: bytes('shm-size'),
      auths,
      signal: context.signal,
    });
    const aux = await showProgress(terminal, lines, { quiet });
    const id = aux.map((entry) => entry['ID']).findLast((value) => typeof value === 'string');
    if (quiet) terminal.print(id ?? '');
    const iidfile = flags.string('iidfile');
    if (iidfile !== undefined && id !== undefined) writeFileSync(iidfile, id);
  },
};

const prune: Command = {
  path: ['builder', 'prune'],
  group: 'builder',
  summary: 'Remove build cache',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'all', short: 'a', type: 'boolean', description: 'All of it, not only what no image has' },
    { name: 'force', short: 'f', type: 'boolean', description: "Don't ask" },
    { name: 'filter', type: 'list', value: 'filter', description: 'Filter, e.g. until=24h' },
  ],
  examples: [{ command: 'varve builder prune -af', does: 'All, without asking' }],
  run: async (context, parsed) => {
    if (!(await confirm(context.terminal, parsed, 'This will remove build cache that no image uses.')))
      return;
    printPruned(
      context.terminal,
      await (await context.engine()).images.pruneBuildCache({
        all: parsed.flags.boolean('all'),
        filters: filtersOf(parsed),
      }),
    );
  },
};

export const buildCommands: readonly Command[] = [build, prune];
