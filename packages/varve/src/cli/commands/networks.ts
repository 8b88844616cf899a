import { EngineError, type NetworkInspect } from '@varve/client';
import { shortId } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { confirm } from '../confirm.ts';
import { printInspect } from '../output/inspect.ts';
import {
  type Column,
  filterFlag,
  filtersOf,
  formatFlag,
  labelText,
  noTruncFlag,
  printList,
  quietFlag,
} from '../output/list.ts';
import { goTimeOf } from '../output/time.ts';
import { printPruned } from '../output/pruned.ts';

/** `a=b` entries as an object; an entry without `=` gets an empty value. */
export function keyValues(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const equals = entry.indexOf('=');
      return equals === -1 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

const ls: Command = {
  path: ['network', 'ls'],
  aliases: [['network', 'list']],
  group: 'network',
  summary: 'List networks',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [filterFlag, formatFlag, noTruncFlag, quietFlag],
  examples: [{ command: 'varve network ls -f driver=bridge', does: 'Only bridges' }],
  run: async (context, parsed) => {
    const truncate = !parsed.flags.boolean('no-trunc');
    const id = (row: NetworkInspect): string => (truncate ? shortId(row.Id) : row.Id);
    const columns: readonly Column<NetworkInspect>[] = [
      { header: 'NETWORK ID', field: 'ID', value: id },
      { header: 'NAME', field: 'Name', value: (row) => row.Name },
      { header: 'DRIVER', field: 'Driver', value: (row) => row.Driver },
      { header: 'SCOPE', field: 'Scope', value: (row) => row.Scope },
      { header: 'INTERNAL', field: 'Internal', shown: false, value: (row) => String(row.Internal) },
      {
        header: 'LABELS',
        field: 'Labels',
        shown: false,
        value: (row) => labelText(row.Labels),
      },
      { header: 'IPV4', field: 'IPv4', shown: false, value: (row) => String(row.EnableIPv4 !== false) },
      { header: 'IPV6', field: 'IPv6', shown: false, value: (row) => String(row.EnableIPv6) },
      {
        header: 'CREATED AT',
        field: 'CreatedAt',
        shown: false,
        value: (row) => goTimeOf(row.Created),
      },
    ];
    printList(
      context.terminal,
      parsed,
      columns,
      await (await context.engine()).networks.list(filtersOf(parsed)),
      id,
      (row) => row.Labels,
    );
  },
};

const create: Command = {
  path: ['network', 'create'],
  group: 'network',
  summary: 'Create a network',
  usage: '[OPTIONS] NETWORK',
  arity: { min: 1, max: 1 },
  flags: [
    { name: 'driver', short: 'd', type: 'string', value: 'driver', default: 'bridge', description: 'Driver' },
    { name: 'subnet', type: 'list', value: 'cidr', description: 'Subnet, e.g. 10.5.0.0/24' },
    { name: 'gateway', type: 'list', value: 'address', description: 'Gateway' },
    {
      name: 'ip-range',
      type: 'list',
      value: 'cidr',
      description: 'Part of the subnet to give addresses from',
    },
    { name: 'internal', type: 'boolean', description: 'No way out' },
    { name: 'attachable', type: 'boolean', description: 'Let containers join by hand' },
    { name: 'ipv6', type: 'boolean', description: 'IPv6 too' },
    { name: 'label', type: 'list', value: 'name=value', description: 'Set a label' },
    { name: 'opt', short: 'o', type: 'list', value: 'name=value', description: 'Driver option' },
  ],
  examples: [
    { command: 'varve network create --subnet 10.5.0.0/24 back', does: 'With a subnet of your own' },
  ],
  run: async (context, { flags, arguments: [name = ''] }) => {
    const subnets = flags.list('subnet');
    const config = subnets.map((subnet, index) => ({
      Subnet: subnet,
      ...(flags.list('gateway')[index] === undefined
        ? {}
        : { Gateway: flags.list('gateway')[index] as string }),
      ...(flags.list('ip-range')[index] === undefined
        ? {}
        : { IPRange: flags.list('ip-range')[index] as string }),
    }));
    const { Id, Warning } = await (await context.engine()).networks.create({
      Name: name,
      Driver: flags.string('driver') ?? 'bridge',
      Internal: flags.boolean('internal'),
      Attachable: flags.boolean('attachable'),
      EnableIPv6: flags.boolean('ipv6'),
      Labels: keyValues(flags.list('label')),
      Options: keyValues(flags.list('opt')),
      ...(config.length === 0 ? {} : { IPAM: { Driver: 'default', Config: config } }),
    });
    if (Warning) context.terminal.warn(`WARNING: ${Warning}`);
    context.terminal.print(Id);
  },
};

const rm: Command = {
  path: ['network', 'rm'],
  aliases: [['network', 'remove']],
  group: 'network',
  summary: 'Remove networks',
  usage: 'NETWORK [NETWORK...]',
  arity: { min: 1 },
  flags: [{ name: 'force', short: 'f', type: 'boolean', description: 'No error when it is not there' }],
  examples: [{ command: 'varve network rm back', does: 'When no container uses it' }],
  completes: ['network'],
  run: async (context, { flags, arguments: names }) => {
    const engine = await context.engine();
    let failed = 0;
    for (const name of names) {
      try {
        await engine.networks.remove(name);
        context.terminal.print(name);
      } catch (error) {
        if (!EngineError.is(error) || error.status === 0) throw error;
        if (flags.boolean('force') && error.status === 404) continue;
        context.terminal.warn(`Error response from daemon: ${error.message}`);
        failed = 1;
      }
    }
    return failed;
  },
};

const inspect: Command = {
  path: ['network', 'inspect'],
  group: 'network',
  summary: 'Show all about networks',
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  arity: { min: 1 },
  flags: [
    { ...formatFlag, short: 'f' },
    { name: 'verbose', short: 'v', type: 'boolean', hidden: true, description: '' },
  ],
  examples: [{ command: "varve network inspect -f '{{json .IPAM}}' bridge", does: 'One part of it' }],
  completes: ['network'],
  run: async (context, parsed) => {
    const engine = await context.engine();
    return printInspect(context.terminal, parsed, (name) => engine.networks.inspect(name));
  },
};

const connect: Command = {
  path: ['network', 'connect'],
  group: 'network',
  summary: 'Join a container to a network',
  usage: '[OPTIONS] NETWORK CONTAINER',
  arity: { min: 2, max: 2 },
  flags: [
    { name: 'alias', type: 'list', value: 'name', description: 'Further name of the container there' },
    { name: 'ip', type: 'string', value: 'address', description: 'IPv4 address' },
  ],
  examples: [{ command: 'varve network connect --alias db back postgres', does: 'Reachable there as db' }],
  completes: ['network', 'container'],
  run: async (context, { flags, arguments: [network = '', container = ''] }) => {
    const ip = flags.string('ip');
    await (await context.engine()).networks.connect(network, container, {
      Aliases: flags.list('alias'),
      ...(ip === undefined ? {} : { IPAMConfig: { IPv4Address: ip } }),
    });
  },
};

const disconnect: Command = {
  path: ['network', 'disconnect'],
  group: 'network',
  summary: 'Take a container off a network',
  usage: '[OPTIONS] NETWORK CONTAINER',
  arity: { min: 2, max: 2 },
  flags: [{ name: 'force', short: 'f', type: 'boolean', description: 'Even if it is stopped' }],
  examples: [{ command: 'varve network disconnect back postgres', does: 'It stays on its others' }],
  completes: ['network', 'container'],
  run: async (context, { flags, arguments: [network = '', container = ''] }) =>
    (await context.engine()).networks.disconnect(network, container, { force: flags.boolean('force') }),
};

const prune: Command = {
  path: ['network', 'prune'],
  group: 'network',
  summary: 'Remove networks that no container uses',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    { name: 'force', short: 'f', type: 'boolean', description: "Don't ask" },
    { name: 'filter', type: 'list', value: 'filter', description: 'Filter' },
  ],
  examples: [{ command: 'varve network prune -f', does: 'Without asking' }],
  run: async (context, parsed) => {
    if (
      !(await confirm(
        context.terminal,
        parsed,
        'This will remove all custom networks not used by at least one container.',
      ))
    )
      return;
    printPruned(context.terminal, await (await context.engine()).networks.prune(filtersOf(parsed)));
  },
};

export const networkCommands: readonly Command[] = [ls, create, rm, inspect, connect, disconnect, prune];
