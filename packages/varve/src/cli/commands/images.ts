import { EngineError, type ImageHistoryItem, type ImageSummary } from '@varve/client';
import { formatBytes, formatDuration, shortId, VarveError } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { confirm } from '../confirm.ts';
import { errorText } from '../error-text.ts';
import { splitTag } from '../names.ts';
import {
  type Column,
  filterFlag,
  filtersOf,
  formatFlag,
  noTruncFlag,
  printList,
  quietFlag,
} from '../output/list.ts';
import { printPruned } from '../output/pruned.ts';
import { goTime, rfc3339 } from '../output/time.ts';

interface ImageRow {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  readonly image: ImageSummary;
}

/** One row for each tag; an image without one gets `<none>`. */
function imageRows(images: readonly ImageSummary[]): ImageRow[] {
  const none = '<none>';
  return images.flatMap((image): ImageRow[] => {
    const tags = (image.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>');
    const repoDigests = image.RepoDigests ?? [];
    const digestOf = (repository: string): string =>
      repoDigests.find((entry) => entry.startsWith(`${repository}@`))?.split('@')[1] ?? none;
    if (tags.length === 0) {
      const names =
        repoDigests.length === 0 ? [none] : repoDigests.map((entry) => entry.split('@')[0] as string);
      return names.map((repository) => ({
        repository,
        tag: none,
        digest: repository === none ? none : digestOf(repository),
        image,
      }));
    }
    return tags.map((name) => {
      const colon = name.lastIndexOf(':');
      const repository = name.slice(0, colon);
      return { repository, tag: name.slice(colon + 1), digest: digestOf(repository), image };
    });
  });
}

function imageColumns(truncate: boolean, digests: boolean): readonly Column<ImageRow>[] {
  return [
    { header: 'REPOSITORY', field: 'Repository', value: (row) => row.repository },
    { header: 'TAG', field: 'Tag', value: (row) => row.tag },
    { header: 'DIGEST', field: 'Digest', shown: digests, value: (row) => row.digest },
    { header: 'IMAGE ID', field: 'ID', value: (row) => (truncate ? shortId(row.image.Id) : row.image.Id) },
    {
      header: 'CREATED',
      field: 'CreatedSince',
      value: (row) => `${formatDuration(Date.now() - row.image.Created * 1000)} ago`,
    },
    { header: 'SIZE', field: 'Size', value: (row) => formatBytes(row.image.Size) },
    {
      header: 'CREATED AT',
      field: 'CreatedAt',
      shown: false,
      value: (row) => goTime(new Date(row.image.Created * 1000)),
    },
    {
      header: 'UNIQUE SIZE',
      field: 'UniqueSize',
      shown: false,
      value: (row) =>
        row.image.SharedSize < 0 ? 'N/A' : formatBytes(row.image.Size - row.image.SharedSize, 4),
    },
    {
      header: 'VIRTUAL SIZE',
      field: 'VirtualSize',
      shown: false,
      value: (row) => formatBytes(row.image.Size, 4),
    },
    {
      header: 'SHARED SIZE',
      field: 'SharedSize',
      shown: false,
      value: (row) => (row.image.SharedSize < 0 ? 'N/A' : formatBytes(row.image.SharedSize, 4)),
    },
    {
      header: 'CONTAINERS',
      field: 'Containers',
      shown: false,
      value: (row) => (row.image.Containers < 0 ? 'N/A' : String(row.image.Containers)),
    },
  ];
}

const images: Command = {
  path: ['images'],
  aliases: [
    ['image', 'ls'],
    ['image', 'list'],
  ],
  group: 'common',
  summary: 'List images',
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  arity: { min: 0, max: 1 },
  flags: [
    { name: 'all', short: 'a', type: 'boolean', description: 'Show intermediate images too' },
    { name: 'digests', type: 'boolean', description: 'Show digests' },
    filterFlag,
    formatFlag,
    noTruncFlag,
    quietFlag,
  ],
  examples: [{ command: 'varve images --digests', does: 'With the digests registries know them by' }],
  completes: ['image'],
  run: async (context, parsed) => {
    const {
      flags,
      arguments: [reference],
    } = parsed;
    const filters = filtersOf(parsed);
    if (reference !== undefined) filters['reference'] = [reference];
    const digests = flags.boolean('digests');
    const list = await (await context.engine()).images.list({ all: flags.boolean('all'), filters });
    const truncate = !flags.boolean('no-trunc');
    const id = (row: ImageRow): string => (truncate ? shortId(row.image.Id) : row.image.Id);
    printList(context.terminal, parsed, imageColumns(truncate, digests), imageRows(list), id);
  },
};

const history: Command = {
  path: ['history'],
  aliases: [['image', 'history']],
  group: 'image',
  summary: 'Show which instruction made which layer, and its size',
  usage: '[OPTIONS] IMAGE',
  arity: { min: 1, max: 1 },
  flags: [
    formatFlag,
    {
      name: 'human',
      short: 'H',
      type: 'boolean',
      default: true,
      description: 'Print sizes and dates for people',
    },
    noTruncFlag,
    quietFlag,
  ],
  examples: [{ command: 'varve history --no-trunc app', does: 'Whole instructions' }],
  completes: ['image'],
  run: async (context, parsed) => {
    const {
      flags,
      arguments: [name = ''],
    } = parsed;
    const truncate = !flags.boolean('no-trunc');
    const human = flags.boolean('human');
    const id = (row: ImageHistoryItem): string =>
      truncate && row.Id !== '<missing>' ? shortId(row.Id) : row.Id;
    const columns: readonly Column<ImageHistoryItem>[] = [
      { header: 'IMAGE', field: 'ID', value: id },
      {
        header: human ? 'CREATED' : 'CREATED AT',
        field: 'CreatedSince',
        value: (row) =>
          row.Created <= 0
            ? 'N/A'
            : human
              ? `${formatDuration(Date.now() - row.Created * 1000)} ago`
              : rfc3339(row.Created),
      },
      {
        header: 'CREATED BY',
        field: 'CreatedBy',
        value: (row) => {
          const text = row.CreatedBy.replaceAll('\t', ' ').replaceAll('\n', ' ');
          return truncate && text.length > 45 ? `${text.slice(0, 44)}…` : text;
        },
      },
      { header: 'SIZE', field: 'Size', value: (row) => (human ? formatBytes(row.Size) : String(row.Size)) },
      { header: 'COMMENT', field: 'Comment', value: (row) => row.Comment },
      {
        header: 'CREATED AT',
        field: 'CreatedAt',
        shown: false,
        value: (row) => rfc3339(row.Created),
      },
    ];
    printList(context.terminal, parsed, columns, await (await context.engine()).images.history(name), id);
  },
};

/** Name and tag of a new name. @throws VarveError `invalid` in the engine's words. */
function tagOf(target: string): { readonly repo: string; readonly tag: string } {
  try {
    return splitTag(target);
  } catch (error) {
    throw new VarveError(
      'invalid',
      'REFERENCE_INVALID',
      `Error parsing reference: ${JSON.stringify(target)} is not a valid repository/tag: ${errorText(error)}`,
      { subject: target, cause: error },
    );
  }
}

const tag: Command = {
  path: ['tag'],
  aliases: [['image', 'tag']],
  group: 'image',
  summary: 'Give an image a further name',
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  arity: { min: 2, max: 2 },
  flags: [],
  examples: [{ command: 'varve tag app 127.0.0.1:5000/app:1', does: 'A name that can be pushed' }],
  completes: ['image'],
  run: async (context, { arguments: [name = '', target = ''] }) =>
    (await context.engine()).images.tag(name, tagOf(target)),
};

const rmi: Command = {
  path: ['rmi'],
  aliases: [
    ['image', 'rm'],
    ['image', 'remove'],
  ],
  group: 'image',
  summary: 'Remove images',
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  arity: { min: 1 },
  flags: [
    { name: 'force', short: 'f', type: 'boolean', description: 'Remove even if stopped containers use it' },
    { name: 'no-prune', type: 'boolean', description: 'Keep untagged parents' },
  ],
  examples: [{ command: 'varve rmi app:old', does: 'The name goes; the layers with the last name' }],
  completes: ['image'],
  run: async (context, { flags, arguments: names }) => {
    const engine = await context.engine();
    let failed = 0;
    for (const name of names) {
      try {
        for (const item of await engine.images.remove(name, {
          force: flags.boolean('force'),
          noprune: flags.boolean('no-prune'),
        })) {
          context.terminal.print(
            item.Untagged === undefined ? `Deleted: ${item.Deleted}` : `Untagged: ${item.Untagged}`,
          );
        }
      } catch (error) {
        if (!EngineError.is(error) || error.status === 0) throw error;
        context.terminal.warn(errorText(error));
        if (!(flags.boolean('force') && error.status === 404)) failed = 1;
      }
    }
    return failed;
  },
};

const prune: Command = {
  path: ['image', 'prune'],
  group: 'image',
  summary: 'Remove images that nothing uses',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    {
      name: 'all',
      short: 'a',
      type: 'boolean',
      description: 'Remove tagged ones too when no container uses them',
    },
    { name: 'force', short: 'f', type: 'boolean', description: "Don't ask" },
    { name: 'filter', type: 'list', value: 'filter', description: 'Filter, e.g. until=24h' },
  ],
  examples: [{ command: 'varve image prune -f', does: 'Only those without a name' }],
  run: async (context, parsed) => {
    const all = parsed.flags.boolean('all');
    const warning = all
      ? 'This will remove all images without at least one container associated to them.'
      : 'This will remove all dangling images.';
    if (!(await confirm(context.terminal, parsed, warning))) return;
    const filters = { ...filtersOf(parsed), dangling: [all ? 'false' : 'true'] };
    printPruned(context.terminal, await (await context.engine()).images.prune(filters));
  },
};

export const imageCommands: readonly Command[] = [images, history, tag, rmi, prune];
