import { EngineError, type Volume } from '@varve/client';
import type { Command } from '../command.ts';
import { confirm } from '../confirm.ts';
import { printInspect } from '../output/inspect.ts';
import {
  type Column,
  filterFlag,
  filtersOf,
  formatFlag,
  labelText,
  printList,
  quietFlag,
} from '../output/list.ts';
import { printPruned } from '../output/pruned.ts';
import { keyValues } from './networks.ts';

const columns: readonly Column<Volume>[] = [
  { header: 'DRIVER', field: 'Driver', value: (row) => row.Driver },
  { header: 'VOLUME NAME', field: 'Name', value: (row) => row.Name },
  { header: 'MOUNTPOINT', field: 'Mountpoint', shown: false, value: (row) => row.Mountpoint },
  { header: 'SCOPE', field: 'Scope', shown: false, value: (row) => row.Scope },
  {
    header: 'LABELS',
    field: 'Labels',
    shown: false,
    value: (row) => labelText(row.Labels),
  },
  // What only a swarm or a reading of the disk would tell.
  ...(
    [
      ['AVAILABILITY', 'Availability'],
      ['GROUP', 'Group'],
      ['LINKS', 'Links'],
      ['SIZE', 'Size'],
      ['STATUS', 'Status'],
    ] as const
  ).map(([header, field]) => ({ header, field, shown: false, value: () => 'N/A' })),
];

export const volumeCommands: readonly Command[] = [
  {
    path: ['volume', 'ls'],
    aliases: [['volume', 'list']],
    group: 'volume',
    summary: 'List volumes',
    usage: '[OPTIONS]',
    arity: { min: 0, max: 0 },
    flags: [filterFlag, formatFlag, quietFlag],
    examples: [{ command: 'varve volume ls -q', does: 'Names only' }],
    run: async (context, parsed) => {
      const { Volumes } = await (await context.engine()).volumes.list(filtersOf(parsed));
      printList(
        context.terminal,
        parsed,
        columns,
        Volumes ?? [],
        (row) => row.Name,
        (row) => row.Labels,
      );
    },
  },
  {
    path: ['volume', 'create'],
    group: 'volume',
    summary: 'Create a volume',
    usage: '[OPTIONS] [VOLUME]',
    arity: { min: 0, max: 1 },
    flags: [
      {
        name: 'driver',
        short: 'd',
        type: 'string',
        value: 'driver',
        default: 'local',
        description: 'Driver',
      },
      { name: 'label', type: 'list', value: 'name=value', description: 'Set a label' },
      { name: 'name', type: 'string', hidden: true, description: '' },
      {
        name: 'opt',
        short: 'o',
        type: 'list',
        value: 'name=value',
        description: 'Driver option (type, device, o)',
      },
    ],
    examples: [{ command: 'varve volume create data', does: 'To be mounted with -v data:/path' }],
    run: async (context, { flags, arguments: [name] }) => {
      const volume = await (await context.engine()).volumes.create({
        Name: name ?? flags.string('name'),
        Driver: flags.string('driver') ?? 'local',
        DriverOpts: keyValues(flags.list('opt')),
        Labels: keyValues(flags.list('label')),
      });
      context.terminal.print(volume.Name);
    },
  },
  {
    path: ['volume', 'rm'],
    aliases: [['volume', 'remove']],
    group: 'volume',
    summary: 'Remove volumes and their data',
    usage: '[OPTIONS] VOLUME [VOLUME...]',
    arity: { min: 1 },
    flags: [{ name: 'force', short: 'f', type: 'boolean', description: 'No error when it is not there' }],
    examples: [{ command: 'varve volume rm data', does: 'When no container uses it' }],
    completes: ['volume'],
    run: async (context, { flags, arguments: names }) => {
      const engine = await context.engine();
      let failed = 0;
      for (const name of names) {
        try {
          await engine.volumes.remove(name, { force: flags.boolean('force') });
          context.terminal.print(name);
        } catch (error) {
          if (!EngineError.is(error) || error.status === 0) throw error;
          context.terminal.warn(`Error response from daemon: ${error.message}`);
          failed = 1;
        }
      }
      return failed;
    },
  },
  {
    path: ['volume', 'inspect'],
    group: 'volume',
    summary: 'Show all about volumes',
    usage: '[OPTIONS] VOLUME [VOLUME...]',
    arity: { min: 1 },
    flags: [{ ...formatFlag, short: 'f' }],
    examples: [{ command: "varve volume inspect -f '{{.Mountpoint}}' data", does: 'Where its data are' }],
    completes: ['volume'],
    run: async (context, parsed) => {
      const engine = await context.engine();
      return printInspect(context.terminal, parsed, (name) => engine.volumes.inspect(name));
    },
  },
  {
    path: ['volume', 'prune'],
    group: 'volume',
    summary: 'Remove volumes that no container uses',
    usage: '[OPTIONS]',
    arity: { min: 0, max: 0 },
    flags: [
      { name: 'all', short: 'a', type: 'boolean', description: 'Named ones too' },
      { name: 'force', short: 'f', type: 'boolean', description: "Don't ask" },
      { name: 'filter', type: 'list', value: 'filter', description: 'Filter' },
    ],
    examples: [{ command: 'varve volume prune -f', does: 'Anonymous ones, without asking' }],
    run: async (context, parsed) => {
      if (
        !(await confirm(
          context.terminal,
          parsed,
          'This will remove anonymous local volumes not used by at least one container.',
        ))
      )
        return;
      const filters = { ...filtersOf(parsed), ...(parsed.flags.boolean('all') ? { all: ['true'] } : {}) };
      printPruned(context.terminal, await (await context.engine()).volumes.prune(filters));
    },
  },
];
