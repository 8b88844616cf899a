import type { ContainerSummary, DiskUsage, ImageSummary, Volume } from '@varve/client';
import { formatBytes, formatDuration, shortId } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { type Column, formatFlag, printList } from '../output/list.ts';
import { formatTable } from '../output/table.ts';
import type { Terminal } from '../terminal.ts';

/** A line of the summary. */
interface UsageRow {
  readonly type: string;
  readonly total: number;
  readonly active: number;
  readonly size: number;
  readonly free: number;
}

/** A piece of build cache, as far as it is counted here. */
interface CacheItem {
  readonly Size?: number;
  readonly InUse?: boolean;
  readonly Shared?: boolean;
  readonly ID?: string;
  readonly Type?: string;
  readonly CreatedAt?: string;
  readonly LastUsedAt?: string | null;
  readonly UsageCount?: number;
}

const bytes = (count: number): string => formatBytes(count, 4);
const ago = (seconds: number): string => `${formatDuration(Date.now() - seconds * 1000)} ago`;

const columns: readonly Column<UsageRow>[] = [
  { header: 'TYPE', field: 'Type', value: (row) => row.type },
  { header: 'TOTAL', field: 'TotalCount', value: (row) => String(row.total) },
  { header: 'ACTIVE', field: 'Active', value: (row) => String(row.active) },
  { header: 'SIZE', field: 'Size', value: (row) => bytes(row.size) },
  {
    header: 'RECLAIMABLE',
    field: 'Reclaimable',
    value: (row) => bytes(row.free) + (row.size > 0 ? ` (${Math.floor((row.free / row.size) * 100)}%)` : ''),
  },
];

function sum<T>(list: readonly T[], size: (item: T) => number): number {
  return list.reduce((total, item) => total + size(item), 0);
}

function usageRows(usage: DiskUsage): readonly UsageRow[] {
  const images = usage.Images ?? [];
  const containers = usage.Containers ?? [];
  const volumes = usage.Volumes ?? [];
  const cache = (usage.BuildCache ?? []) as readonly CacheItem[];
  const usedImages = images.filter((image) => image.Containers > 0);
  const usedBytes = sum(usedImages, (image) => image.Size - Math.max(image.SharedSize, 0));
  const stopped = containers.filter((container) => container.State !== 'running');
  const written = (container: ContainerSummary): number => container.SizeRw ?? 0;
  const links = (volume: Volume): number => volume.UsageData?.RefCount ?? 0;
  const volumeBytes = (volume: Volume): number => Math.max(volume.UsageData?.Size ?? 0, 0);
  const cacheBytes = (item: CacheItem): number => item.Size ?? 0;
  return [
    {
      type: 'Images',
      total: images.length,
      active: usedImages.length,
      size: usage.LayersSize,
      free: Math.max(usage.LayersSize - usedBytes, 0),
    },
    {
      type: 'Containers',
      total: containers.length,
      active: containers.length - stopped.length,
      size: sum(containers, written),
      free: sum(stopped, written),
    },
    {
      type: 'Local Volumes',
      total: volumes.length,
      active: volumes.filter((volume) => links(volume) > 0).length,
      size: sum(volumes, volumeBytes),
      free: sum(
        volumes.filter((volume) => links(volume) === 0),
        volumeBytes,
      ),
    },
    {
      type: 'Build Cache',
      total: cache.length,
      active: cache.filter((item) => item.InUse === true).length,
      size: sum(cache, cacheBytes),
      free: sum(
        cache.filter((item) => item.InUse !== true && item.Shared !== true),
        cacheBytes,
      ),
    },
  ];
}

function imageCells(image: ImageSummary): readonly string[] {
  const name = image.RepoTags?.[0] ?? '<none>:<none>';
  const colon = name.lastIndexOf(':');
  const shared = Math.max(image.SharedSize, 0);
  return [
    name.slice(0, colon),
    name.slice(colon + 1),
    shortId(image.Id),
    ago(image.Created),
    formatBytes(image.Size),
    bytes(shared),
    bytes(image.Size - shared),
    String(image.Containers),
  ];
}

function containerCells(container: ContainerSummary): readonly string[] {
  const { Command: command } = container;
  return [
    shortId(container.Id),
    container.Image,
    JSON.stringify(command.length > 20 ? `${command.slice(0, 19)}…` : command),
    String(container.Mounts.filter((mount) => mount.Driver === 'local').length),
    formatBytes(container.SizeRw ?? 0),
    ago(container.Created),
    container.Status,
    container.Names.map((name) => name.slice(1)).join(','),
  ];
}

function cacheCells(item: CacheItem): readonly string[] {
  const since = (text: string | null | undefined): string =>
    text === undefined || text === null ? '' : ago(Date.parse(text) / 1000);
  return [
    shortId(item.ID ?? ''),
    item.Type ?? '',
    formatBytes(item.Size ?? 0),
    since(item.CreatedAt),
    since(item.LastUsedAt),
    String(item.UsageCount ?? 0),
    String(item.Shared === true),
  ];
}

function printDetails(terminal: Terminal, usage: DiskUsage): void {
  const cache = (usage.BuildCache ?? []) as readonly CacheItem[];
  const blocks: readonly (readonly [string, readonly string[], readonly (readonly string[])[]])[] = [
    [
      'Images space usage:',
      ['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE', 'SHARED SIZE', 'UNIQUE SIZE', 'CONTAINERS'],
      (usage.Images ?? []).map(imageCells),
    ],
    [
      'Containers space usage:',
      ['CONTAINER ID', 'IMAGE', 'COMMAND', 'LOCAL VOLUMES', 'SIZE', 'CREATED', 'STATUS', 'NAMES'],
      (usage.Containers ?? []).map(containerCells),
    ],
    [
      'Local Volumes space usage:',
      ['VOLUME NAME', 'LINKS', 'SIZE'],
      (usage.Volumes ?? []).map((volume) => [
        volume.Name,
        String(volume.UsageData?.RefCount ?? 0),
        bytes(Math.max(volume.UsageData?.Size ?? 0, 0)),
      ]),
    ],
  ];
  for (const [title, header, rows] of blocks) {
    terminal.print(`${title}\n`);
    for (const line of formatTable(header, rows)) terminal.print(line);
    terminal.print();
  }
  const total = sum(cache, (item) => item.Size ?? 0);
  terminal.print(`Build cache usage: ${bytes(total)}\n`);
  const header = ['CACHE ID', 'CACHE TYPE', 'SIZE', 'CREATED', 'LAST USED', 'USAGE', 'SHARED'];
  for (const line of formatTable(header, cache.map(cacheCells))) terminal.print(line);
}

/** Every byte of the data root, and what removing each image frees. */
function printDataRoot(terminal: Terminal, usage: DiskUsage): void {
  const { DataRoot: root } = usage;
  if (!root) return;
  terminal.print(`\nData root usage (${root.Path}), bytes allocated on disk:\n`);
  const rows = root.Parts.filter((part) => part.Items > 0).map((part) => [
    part.Part,
    String(part.Items),
    String(part.Bytes),
  ]);
  rows.push(['total', '', String(root.TotalBytes)]);
  for (const line of formatTable(['PART', 'ITEMS', 'BYTES'], rows)) terminal.print(line);
  terminal.print('\nImages, bytes allocated on disk (UNIQUE is what removing the image frees):\n');
  const images = (usage.Images ?? []).map((image) => {
    const shared = Math.max(image.SharedSize, 0);
    const sizes = [image.Size, shared, image.Size - shared].map(String);
    return [image.RepoTags?.[0] ?? '<none>:<none>', shortId(image.Id), ...sizes];
  });
  for (const line of formatTable(['IMAGE', 'IMAGE ID', 'BYTES', 'SHARED', 'UNIQUE'], images))
    terminal.print(line);
}

export const diskUsageCommand: Command = {
  path: ['system', 'df'],
  group: 'system',
  summary: 'Show disk usage',
  description:
    'Sizes are bytes allocated on disk, as du(1) counts them, hard links once. With --verbose also every part of the data root: they add up to what `du -sx` says of it. UNIQUE SIZE is what removing the image frees.',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    formatFlag,
    { name: 'verbose', short: 'v', type: 'boolean', description: 'Show each image, container and volume' },
  ],
  examples: [
    { command: 'varve system df -v', does: 'In detail' },
    { command: 'varve system df -v --format json', does: 'In detail, as JSON' },
  ],
  run: async (context, parsed) => {
    const { terminal } = context;
    const usage = await (await context.engine()).diskUsage();
    if (!parsed.flags.boolean('verbose'))
      printList(terminal, parsed, columns, usageRows(usage), (row) => row.type);
    else if (parsed.flags.string('format') === 'json') terminal.print(JSON.stringify(usage));
    else {
      printDetails(terminal, usage);
      printDataRoot(terminal, usage);
    }
  },
};
