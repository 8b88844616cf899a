import { formatBinaryBytes, formatBytes, shortId } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { type Column, formatFlag, noTruncFlag, printList } from '../output/list.ts';

interface Stats {
  readonly id: string;
  readonly name: string;
  readonly cpu_stats: {
    readonly cpu_usage: { readonly total_usage: number };
    readonly system_cpu_usage?: number;
    readonly online_cpus?: number;
  };
  readonly precpu_stats: Stats['cpu_stats'];
  readonly memory_stats: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes: number; readonly tx_bytes: number }>>;
  readonly blkio_stats?: {
    readonly io_service_bytes_recursive?: readonly { readonly op: string; readonly value: number }[] | null;
  };
  readonly pids_stats?: { readonly current?: number };
}

/** A reading as it is shown. */
interface Reading {
  readonly id: string;
  readonly name: string;
  /** Per cent of one CPU. */
  readonly cpu: number;
  readonly used: number;
  readonly limit: number;
  readonly received: number;
  readonly sent: number;
  readonly read: number;
  readonly written: number;
  readonly processes: number;
}

/** Works the reading out as Docker's client does (cli stats_helpers.go, cgroup v2). */
function reading(sample: Stats): Reading {
  const cpu = sample.cpu_stats.cpu_usage.total_usage - (sample.precpu_stats.cpu_usage?.total_usage ?? 0);
  const system = (sample.cpu_stats.system_cpu_usage ?? 0) - (sample.precpu_stats.system_cpu_usage ?? 0);
  const cache =
    sample.memory_stats.stats?.['total_inactive_file'] ?? sample.memory_stats.stats?.['inactive_file'] ?? 0;
  const nets = Object.values(sample.networks ?? {});
  const io = (op: string): number =>
    (sample.blkio_stats?.io_service_bytes_recursive ?? [])
      .filter((entry) => entry.op.toLowerCase() === op)
      .reduce((sum, entry) => sum + entry.value, 0);
  return {
    id: sample.id,
    name: sample.name.replace(/^\//, ''),
    cpu: system > 0 && cpu > 0 ? (cpu / system) * (sample.cpu_stats.online_cpus ?? 1) * 100 : 0,
    used: Math.max((sample.memory_stats.usage ?? 0) - cache, 0),
    limit: sample.memory_stats.limit ?? 0,
    received: nets.reduce((sum, net) => sum + net.rx_bytes, 0),
    sent: nets.reduce((sum, net) => sum + net.tx_bytes, 0),
    read: io('read'),
    written: io('write'),
    processes: sample.pids_stats?.current ?? 0,
  };
}

const percent = (value: number): string => `${value.toFixed(2)}%`;

function columns(truncate: boolean): readonly Column<Reading>[] {
  const id = (row: Reading): string => (truncate ? shortId(row.id) : row.id);
  return [
    { header: 'CONTAINER ID', field: 'ID', value: id },
    { header: 'CONTAINER', field: 'Container', shown: false, value: id },
    { header: 'NAME', field: 'Name', value: (row) => row.name },
    { header: 'CPU %', field: 'CPUPerc', value: (row) => percent(row.cpu) },
    {
      header: 'MEM USAGE / LIMIT',
      field: 'MemUsage',
      value: (row) => `${formatBinaryBytes(row.used)} / ${formatBinaryBytes(row.limit)}`,
    },
    {
      header: 'MEM %',
      field: 'MemPerc',
      value: (row) => percent(row.limit > 0 ? (row.used / row.limit) * 100 : 0),
    },
    {
      header: 'NET I/O',
      field: 'NetIO',
      value: (row) => `${formatBytes(row.received)} / ${formatBytes(row.sent)}`,
    },
    {
      header: 'BLOCK I/O',
      field: 'BlockIO',
      value: (row) => `${formatBytes(row.read)} / ${formatBytes(row.written)}`,
    },
    { header: 'PIDS', field: 'PIDs', value: (row) => String(row.processes) },
  ];
}

export const statsCommand: Command = {
  path: ['stats'],
  aliases: [['container', 'stats']],
  group: 'container',
  summary: 'Show CPU, memory and I/O of containers',
  usage: '[OPTIONS] [CONTAINER...]',
  arity: { min: 0 },
  flags: [
    { name: 'all', short: 'a', type: 'boolean', description: 'Show stopped ones too' },
    formatFlag,
    { name: 'no-stream', type: 'boolean', description: 'Show one reading and end' },
    noTruncFlag,
  ],
  examples: [{ command: 'varve stats --no-stream', does: 'One reading of all running containers' }],
  completes: ['container'],
  run: async (context, parsed) => {
    const { flags, arguments: names } = parsed;
    const { terminal, signal } = context;
    const engine = await context.engine();
    const once = flags.boolean('no-stream');
    for (;;) {
      const wanted =
        names.length > 0
          ? names
          : (await engine.containers.list({ all: flags.boolean('all') })).map((row) => row.Id);
      const rows = await Promise.all(
        wanted.map(async (name) => {
          for await (const sample of engine.containers.stats(name, { stream: false, signal }))
            return reading(sample as unknown as Stats);
          return undefined;
        }),
      );
      if (!once && terminal.interactive) terminal.stdout.write('\x1b[H\x1b[2J');
      printList(
        terminal,
        parsed,
        columns(!flags.boolean('no-trunc')),
        rows.filter((row) => row !== undefined),
        (row) => row.id,
      );
      if (once || signal.aborted) return 0;
    }
  },
};
