import { once } from 'node:events';
import type { ContainerSummary, Port } from '@varve/client';
import { formatBytes, formatDuration, shortId, VarveError } from '../../base/index.ts';
import { interactiveSession } from '../attach.ts';
import type { Command } from '../command.ts';
import { archiveOutput } from '../output/archive.ts';
import {
  type Column,
  filterFlag,
  filtersOf,
  formatFlag,
  formatNames,
  labelText,
  noTruncFlag,
  printList,
  quietFlag,
} from '../output/list.ts';
import { formatTable } from '../output/table.ts';
import { goTime } from '../output/time.ts';
import { changeCommands } from './change.ts';
import { statsCommand } from './stats.ts';

function ports(list: readonly Port[]): string {
  return [
    ...new Set(
      list.map((port) => {
        const inside = `${port.PrivatePort}/${port.Type}`;
        if (port.PublicPort === undefined) return inside;
        const address = port.IP?.includes(':') === true ? `[${port.IP}]` : (port.IP ?? '');
        return `${address}:${port.PublicPort}->${inside}`;
      }),
    ),
  ].join(', ');
}

function columns(truncate: boolean, size: boolean): readonly Column<ContainerSummary>[] {
  return [
    { header: 'CONTAINER ID', field: 'ID', value: (row) => (truncate ? shortId(row.Id) : row.Id) },
    { header: 'IMAGE', field: 'Image', value: (row) => row.Image },
    {
      header: 'COMMAND',
      field: 'Command',
      value: (row) =>
        JSON.stringify(truncate && row.Command.length > 20 ? `${row.Command.slice(0, 19)}…` : row.Command),
    },
    {
      header: 'CREATED',
      field: 'RunningFor',
      value: (row) => `${formatDuration(Date.now() - row.Created * 1000)} ago`,
    },
    { header: 'STATUS', field: 'Status', value: (row) => row.Status },
    { header: 'PORTS', field: 'Ports', value: (row) => ports(row.Ports) },
    { header: 'NAMES', field: 'Names', value: (row) => row.Names.map((name) => name.slice(1)).join(',') },
    {
      header: 'SIZE',
      field: 'Size',
      shown: size,
      value: (row) =>
        formatBytes(row.SizeRw ?? 0) +
        ((row.SizeRootFs ?? 0) > 0 ? ` (virtual ${formatBytes(row.SizeRootFs ?? 0)})` : ''),
    },
    { header: 'STATE', field: 'State', shown: false, value: (row) => row.State },
    {
      header: 'CREATED AT',
      field: 'CreatedAt',
      shown: false,
      value: (row) => goTime(new Date(row.Created * 1000)),
    },
    {
      header: 'LABELS',
      field: 'Labels',
      shown: false,
      value: (row) => labelText(row.Labels),
    },
    { header: 'PLATFORM', field: 'Platform', shown: false, value: () => null },
    {
      header: 'LOCAL VOLUMES',
      field: 'LocalVolumes',
      shown: false,
      value: (row) => String(row.Mounts.filter((mount) => mount.Driver === 'local').length),
    },
    {
      header: 'MOUNTS',
      field: 'Mounts',
      shown: false,
      value: (row) => row.Mounts.map((mount) => mount.Name ?? mount.Source).join(','),
    },
    {
      header: 'NETWORKS',
      field: 'Networks',
      shown: false,
      value: (row) => Object.keys(row.NetworkSettings?.Networks ?? {}).join(','),
    },
  ];
}

const ps: Command = {
  path: ['ps'],
  aliases: [
    ['container', 'ls'],
    ['container', 'list'],
    ['container', 'ps'],
  ],
  group: 'common',
  summary: 'List containers',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'all', short: 'a', type: 'boolean', description: 'Show stopped ones too' },
    filterFlag,
    formatFlag,
    {
      name: 'last',
      short: 'n',
      type: 'number',
      value: 'int',
      description: 'Show the n last created (of all states)',
    },
    { name: 'latest', short: 'l', type: 'boolean', description: 'Show the last created (of all states)' },
    noTruncFlag,
    quietFlag,
    { name: 'size', short: 's', type: 'boolean', description: 'Show sizes' },
  ],
  examples: [
    { command: 'varve ps -a', does: 'All containers' },
    { command: "varve ps --format '{{.Names}}: {{.Status}}'", does: 'Own columns' },
  ],
  run: async (context, parsed) => {
    const { flags } = parsed;
    const limit = flags.boolean('latest') ? 1 : flags.number('last');
    const size = flags.boolean('size') || formatNames(parsed, 'Size');
    const rows = await (await context.engine()).containers.list({
      all: flags.boolean('all'),
      size,
      ...(limit === undefined ? {} : { limit }),
      filters: filtersOf(parsed),
    });
    const truncate = !flags.boolean('no-trunc');
    printList(
      context.terminal,
      parsed,
      columns(truncate, flags.boolean('size')),
      rows,
      (row) => (truncate ? shortId(row.Id) : row.Id),
      (row) => row.Labels,
    );
  },
};

const logs: Command = {
  path: ['logs'],
  aliases: [['container', 'logs']],
  group: 'container',
  summary: "Show a container's output",
  usage: '[OPTIONS] CONTAINER',
  arity: { min: 1, max: 1 },
  flags: [
    { name: 'follow', short: 'f', type: 'boolean', description: 'Follow the output' },
    {
      name: 'since',
      type: 'string',
      value: 'time',
      description: 'From a time (RFC 3339) or duration (42m) on',
    },
    { name: 'until', type: 'string', value: 'time', description: 'Up to a time or duration' },
    {
      name: 'tail',
      short: 'n',
      type: 'string',
      value: 'lines',
      description: 'Number of last lines',
      default: 'all',
    },
    { name: 'timestamps', short: 't', type: 'boolean', description: 'Show the time of each line' },
    { name: 'details', type: 'boolean', hidden: true, description: '' },
  ],
  examples: [{ command: 'varve logs -f --tail 20 web', does: 'The last twenty lines, then what comes' }],
  completes: ['container'],
  run: async (context, { flags, arguments: [name = ''] }) => {
    const engine = await context.engine();
    const { Config } = await engine.containers.inspect(name);
    const stream = engine.containers.logs(name, {
      tty: Config.Tty === true,
      follow: flags.boolean('follow'),
      since: flags.string('since'),
      until: flags.string('until'),
      tail: flags.string('tail'),
      timestamps: flags.boolean('timestamps'),
      signal: context.signal,
    });
    for await (const { stream: kind, data } of stream) {
      const target = kind === 1 ? context.terminal.stdout : context.terminal.stderr;
      if (!target.write(data)) await once(target, 'drain');
    }
  },
};

const exec: Command = {
  path: ['exec'],
  aliases: [['container', 'exec']],
  group: 'common',
  summary: 'Run a command in a running container',
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  arity: { min: 2 },
  interspersed: false,
  flags: [
    { name: 'detach', short: 'd', type: 'boolean', description: 'Run it in the background' },
    { name: 'detach-keys', type: 'string', value: 'keys', description: 'Keys that detach' },
    {
      name: 'env',
      short: 'e',
      type: 'list',
      value: 'name=value',
      description: 'Set an environment variable',
    },
    { name: 'interactive', short: 'i', type: 'boolean', description: 'Keep STDIN open' },
    { name: 'privileged', type: 'boolean', description: 'Give it extended privileges' },
    { name: 'tty', short: 't', type: 'boolean', description: 'Give it a terminal' },
    { name: 'user', short: 'u', type: 'string', value: 'user', description: 'User: name|uid[:group|gid]' },
    { name: 'workdir', short: 'w', type: 'string', value: 'path', description: 'Working directory' },
  ],
  examples: [{ command: 'varve exec -it web sh', does: 'A shell beside what runs there' }],
  completes: ['container', 'none'],
  run: async (context, { flags, arguments: [name = '', ...words] }) => {
    const engine = await context.engine();
    const tty = flags.boolean('tty');
    const stdin = flags.boolean('interactive');
    const detach = flags.boolean('detach');
    if (tty && stdin && !detach && !context.terminal.stdin.isTTY) {
      context.terminal.warn('the input device is not a TTY');
      return 1;
    }
    const user = flags.string('user');
    const workdir = flags.string('workdir');
    const { Id } = await engine.containers.createExec(name, {
      AttachStdin: stdin && !detach,
      AttachStdout: !detach,
      AttachStderr: !detach,
      Tty: tty,
      Cmd: words,
      Env: flags.list('env'),
      Privileged: flags.boolean('privileged'),
      ...(user === undefined ? {} : { User: user }),
      ...(workdir === undefined ? {} : { WorkingDir: workdir }),
    });
    if (detach) {
      await engine.containers.startExecDetached(Id);
      return 0;
    }
    const attachment = await engine.containers.startExec(Id, { tty });
    await interactiveSession(context.terminal, attachment, {
      tty,
      stdin,
      resize: (rows, columns_) => engine.containers.resizeExec(Id, rows, columns_),
    });
    return (await engine.containers.inspectExec(Id)).ExitCode ?? 0;
  },
};

const diff: Command = {
  path: ['diff'],
  aliases: [['container', 'diff']],
  group: 'container',
  summary: 'Show what a container changed in its file system: its writable layer',
  usage: 'CONTAINER',
  arity: { min: 1, max: 1 },
  flags: [],
  examples: [{ command: 'varve diff web', does: 'A is added, C changed, D deleted' }],
  completes: ['container'],
  run: async (context, { arguments: [name = ''] }) => {
    for (const change of await (await context.engine()).containers.changes(name)) {
      context.terminal.print(`${['C', 'A', 'D'][change.Kind]} ${change.Path}`);
    }
  },
};

const top: Command = {
  path: ['top'],
  aliases: [['container', 'top']],
  group: 'container',
  summary: "Show a container's processes",
  usage: 'CONTAINER [ps OPTIONS]',
  arity: { min: 1 },
  interspersed: false,
  flags: [],
  examples: [{ command: 'varve top web -o pid,comm', does: 'With columns of ps' }],
  completes: ['container'],
  run: async (context, { arguments: [name = '', ...options] }) => {
    const { Titles, Processes } = await (await context.engine()).containers.top(
      name,
      options.length === 0 ? undefined : options.join(' '),
    );
    for (const line of formatTable(Titles, Processes)) context.terminal.print(line);
  },
};

const port: Command = {
  path: ['port'],
  aliases: [['container', 'port']],
  group: 'container',
  summary: 'List published ports',
  usage: 'CONTAINER [PORT[/PROTOCOL]]',
  arity: { min: 1, max: 2 },
  flags: [],
  examples: [{ command: 'varve port web 80', does: 'Where port 80 is reachable' }],
  completes: ['container'],
  run: async (context, { arguments: [name = '', wanted] }) => {
    const { NetworkSettings } = await (await context.engine()).containers.inspect(name);
    const key = wanted === undefined ? undefined : wanted.includes('/') ? wanted : `${wanted}/tcp`;
    let found = 0;
    for (const [inside, bindings] of Object.entries(NetworkSettings.Ports)) {
      if (key !== undefined && key !== inside) continue;
      for (const binding of bindings ?? []) {
        const address = binding.HostIp?.includes(':') === true ? `[${binding.HostIp}]` : binding.HostIp;
        context.terminal.print(`${key === undefined ? `${inside} -> ` : ''}${address}:${binding.HostPort}`);
        found++;
      }
    }
    if (key !== undefined && found === 0)
      throw new VarveError('not-found', 'NO_PORT', `Error: No public port '${wanted}' published for ${name}`);
  },
};

const exportCommand: Command = {
  path: ['export'],
  aliases: [['container', 'export']],
  group: 'container',
  summary: "Write a container's file system as a tar",
  usage: '[OPTIONS] CONTAINER',
  arity: { min: 1, max: 1 },
  flags: [{ name: 'output', short: 'o', type: 'string', value: 'file', description: 'Write to a file' }],
  examples: [{ command: 'varve export -o root.tar web', does: 'To a file' }],
  completes: ['container'],
  run: async (context, { flags, arguments: [name = ''] }) => {
    const write = archiveOutput(context.terminal, flags.string('output'), 'failed to export container');
    await write(await (await context.engine()).containers.export(name, { signal: context.signal }));
  },
};

export const containerCommands: readonly Command[] = [
  ps,
  logs,
  exec,
  diff,
  top,
  port,
  exportCommand,
  statsCommand,
  ...changeCommands,
];
