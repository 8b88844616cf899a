import type { Event } from '@varve/client';
import { formatBytes } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { completionScripts } from '../complete.ts';
import { confirm } from '../confirm.ts';
import { filtersOf, formatFlag } from '../output/list.ts';
import { printPruned } from '../output/pruned.ts';
import { compileTemplate } from '../output/template.ts';
import { rfc3339 } from '../output/time.ts';
import { versionText } from '../version.ts';
import { diskUsageCommand } from './disk-usage.ts';

const version: Command = {
  path: ['version'],
  group: 'system',
  summary: 'Show the versions of client and engine',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [{ ...formatFlag, short: 'f' }],
  examples: [{ command: "varve version --format '{{.Server.Version}}'", does: "The engine's" }],
  run: async (context, { flags }) => {
    const client = {
      Version: versionText,
      ApiVersion: '1.51',
      Os: 'linux',
      Arch: process.arch === 'x64' ? 'amd64' : process.arch,
      NodeVersion: process.version,
    };
    const server = await (await context.engine()).version();
    const format = flags.string('format');
    if (format === 'json') return context.terminal.print(JSON.stringify({ Client: client, Server: server }));
    if (format !== undefined)
      return context.terminal.print(compileTemplate(format)({ Client: client, Server: server }));
    context.terminal.print(`Client: Varve
 Version:           ${client.Version}
 API version:       ${client.ApiVersion}
 Node version:      ${client.NodeVersion}
 OS/Arch:           ${client.Os}/${client.Arch}

Server: ${server.Platform?.Name ?? 'Engine'}
 Engine:
  Version:          ${server.Version}
  API version:      ${server.ApiVersion} (minimum version ${server.MinAPIVersion})
  Git commit:       ${server.GitCommit}
  OS/Arch:          ${server.Os}/${server.Arch}
  Kernel:           ${server.KernelVersion}`);
  },
};

function infoLines(value: unknown, indent: string): string[] {
  if (value === null || typeof value !== 'object') return [String(value)];
  return Object.entries(value).flatMap(([name, entry]) => {
    if (Array.isArray(entry)) {
      if (entry.length === 0) return [];
      return entry.every((item) => typeof item === 'string')
        ? [`${indent}${name}: ${entry.join(' ')}`]
        : [
            `${indent}${name}:`,
            ...entry.map(
              (item) => `${indent} ${Array.isArray(item) ? item.join(': ') : JSON.stringify(item)}`,
            ),
          ];
    }
    if (entry !== null && typeof entry === 'object')
      return [`${indent}${name}:`, ...infoLines(entry, `${indent} `)];
    return [`${indent}${name}: ${String(entry)}`];
  });
}

const info: Command = {
  path: ['info'],
  aliases: [['system', 'info']],
  group: 'system',
  summary: 'Show what the engine says of itself',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [{ ...formatFlag, short: 'f' }],
  examples: [{ command: "varve info -f '{{.Driver}}'", does: 'The storage driver' }],
  run: async (context, { flags }) => {
    const value = await (await context.engine()).info();
    const format = flags.string('format');
    if (format === 'json') context.terminal.print(JSON.stringify(value));
    else if (format !== undefined) context.terminal.print(compileTemplate(format)(value));
    else for (const line of infoLines(value, '')) context.terminal.print(line);
  },
};

/** `2026-11-21T21:11:15.658887222Z`, with the local time zone. */
function eventTime(event: Event): string {
  const nanoseconds = String(event.timeNano % 1_000_000_000n).padStart(9, '0');
  return rfc3339(event.time).replace(/(?<=T[\d:]{8})/, `.${nanoseconds}`);
}

const sorted = (map: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));

/** The event as it came: its nanoseconds are no string. */
function eventJson(event: Event): string {
  const text = JSON.stringify(event, (key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    return key === 'Attributes' ? sorted(value as Readonly<Record<string, string>>) : value;
  });
  return text.replace(`"timeNano":"${event.timeNano}n"`, `"timeNano":${event.timeNano}`);
}

const events: Command = {
  path: ['events'],
  aliases: [['system', 'events']],
  group: 'system',
  summary: 'Show what happens in the engine as it happens',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'filter', short: 'f', type: 'list', value: 'filter', description: 'Filter, e.g. type=container' },
    formatFlag,
    { name: 'since', type: 'string', value: 'time', description: 'From a time on' },
    { name: 'until', type: 'string', value: 'time', description: 'Up to a time' },
  ],
  examples: [{ command: 'varve events --since 10m --until 0s', does: 'The last ten minutes' }],
  run: async (context, parsed) => {
    const { flags } = parsed;
    const format = flags.string('format');
    const template = format === undefined || format === 'json' ? undefined : compileTemplate(format);
    const stream = (await context.engine()).events({
      since: flags.string('since'),
      until: flags.string('until'),
      filters: filtersOf(parsed),
      signal: context.signal,
    });
    for await (const event of stream) {
      if (template) context.terminal.print(template(event));
      else if (format === 'json') context.terminal.print(eventJson(event));
      else {
        const attributes = Object.entries(event.Actor.Attributes)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, value]) => `${name}=${value}`)
          .join(', ');
        context.terminal.print(
          `${eventTime(event)} ${event.Type} ${event.Action} ${event.Actor.ID}${attributes === '' ? '' : ` (${attributes})`}`,
        );
      }
    }
  },
};

const prune: Command = {
  path: ['system', 'prune'],
  group: 'system',
  summary: 'Remove what nothing uses: stopped containers, networks, images, build cache',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    {
      name: 'all',
      short: 'a',
      type: 'boolean',
      description: 'All unused images, not only those without a name',
    },
    { name: 'force', short: 'f', type: 'boolean', description: "Don't ask" },
    { name: 'volumes', type: 'boolean', description: 'Anonymous volumes too' },
    { name: 'filter', type: 'list', value: 'filter', description: 'Filter, e.g. until=24h' },
  ],
  examples: [{ command: 'varve system prune -f', does: 'Without asking' }],
  run: async (context, parsed) => {
    const { flags } = parsed;
    if (
      !(await confirm(
        context.terminal,
        parsed,
        'This will remove all stopped containers, all networks not used by at least one container, all dangling images and unused build cache.',
      ))
    )
      return;
    const engine = await context.engine();
    const filters = filtersOf(parsed);
    let bytes = 0;
    const add = (result: Parameters<typeof printPruned>[1]): void => {
      bytes += result.SpaceReclaimed ?? 0;
      const { SpaceReclaimed: _, ...rest } = result;
      printPruned(context.terminal, rest);
    };
    add(await engine.containers.prune(filters));
    add(await engine.networks.prune(filters));
    if (flags.boolean('volumes')) add(await engine.volumes.prune(filters));
    add(await engine.images.prune({ ...filters, dangling: [flags.boolean('all') ? 'false' : 'true'] }));
    add(await engine.images.pruneBuildCache({ all: flags.boolean('all') }));
    context.terminal.print(`Total reclaimed space: ${formatBytes(bytes)}`);
  },
};

const completion: Command = {
  path: ['completion'],
  group: 'system',
  summary: 'Print the completion functions for a shell',
  usage: 'bash|zsh|fish',
  arity: { min: 1, max: 1 },
  flags: [],
  examples: [{ command: 'source <(varve completion bash)', does: 'For this shell' }],
  run: async (context, { arguments: [shell = ''] }) => {
    const script = completionScripts[shell as keyof typeof completionScripts];
    if (script === undefined) {
      context.terminal.warn(`varve: no completion for ${shell}; there is one for bash, zsh and fish`);
      return 1;
    }
    context.terminal.stdout.write(script);
    return 0;
  },
};

export const systemCommands: readonly Command[] = [
  version,
  info,
  events,
  diskUsageCommand,
  prune,
  completion,
];
