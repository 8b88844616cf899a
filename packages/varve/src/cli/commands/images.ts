import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EngineError, type ImageHistoryItem, type ImageSummary } from '@varve/client';
import { formatBytes, formatDuration, shortId, VarveError } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { confirm } from '../confirm.ts';
import { lookUpCredentials } from '../credentials.ts';
import { errorText } from '../error-text.ts';
import { canonicalReferenceOf, registryOf, splitTag } from '../names.ts';
import {
  type Column,
  filterFlag,
  filtersOf,
  formatFlag,
  noTruncFlag,
  printList,
  quietFlag,
} from '../output/list.ts';
import { checkOutput } from '../output/path.ts';
import { printPruned } from '../output/pruned.ts';
import { goTime, rfc3339 } from '../output/time.ts';
import { showProgress } from '../output/transfer.ts';

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

/** A file to be read; one that is not there fails before anything is asked of the engine. */
async function openFile(path: string): Promise<Readable> {
  return (await open(path)).createReadStream({ highWaterMark: 1 << 20 });
}

/** Writes a stream to a file beside its final name, so that a failed save leaves nothing. */
async function writeArchive(archive: Readable, output: string): Promise<void> {
  const temporary = `${output}.${process.pid}.tmp`;
  try {
    await pipeline(archive, createWriteStream(temporary));
    await rename(temporary, output);
  } finally {
    await rm(temporary, { force: true });
  }
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
    const output = flags.string('output');
    if (output === undefined && context.terminal.interactive) {
      throw new VarveError(
        'invalid',
        'USAGE',
        'cowardly refusing to save to a terminal. Use the -o flag or redirect',
      );
    }
    if (output !== undefined) checkOutput(output, 'failed to save image');
    const archive = await (await context.engine()).images.save(names, { signal: context.signal });
    if (output === undefined) await pipeline(archive, context.terminal.stdout, { end: false });
    else await writeArchive(archive, output);
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
  flags: [
    {
      name: 'change',
      short: 'c',
      type: 'list',
      value: 'instruction',
      description: 'Apply a Dockerfile instruction (CMD, ENV, …)',
    },
    { name: 'message', short: 'm', type: 'string', value: 'text', description: 'Message' },
    platformFlag,
  ],
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

export const imageCommands: readonly Command[] = [
  images,
  history,
  pull,
  push,
  tag,
  rmi,
  save,
  load,
  importCommand,
  prune,
];
