import { join } from 'node:path';
import { formatBinaryBytes, formatBytes } from '../base/index.ts';
import type { Command, CommandContext, Flag, FlagValues } from '../cli/index.ts';
import { configOf } from './registry-config.ts';

type ControlPath = '/collect' | '/scrub' | '/retain' | '/usage';

const rootFlag: Flag = {
  name: 'root',
  type: 'string',
  value: 'folder',
  description: 'Root folder of the serving registry, where no configuration is given',
};
const jsonFlag: Flag = { name: 'json', type: 'boolean', description: 'Lines of JSON' };

interface Answer {
  readonly done?: Readonly<Record<string, unknown>>;
}

/** A command that asks the serving registry of a configuration, prints its lines and then its result. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what the registry's lines are
function maintenanceCommand<Item extends object>(command: {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly flags: readonly Flag[];
  readonly example: { readonly command: string; readonly does: string };
  readonly path: ControlPath;
  readonly query: (flags: FlagValues) => Readonly<Record<string, string>>;
  readonly item: (item: Item) => readonly string[];
  readonly done: (done: Readonly<Record<string, unknown>>, found: number) => string;
}): Command {
  return {
    path: ['registry', command.name],
    group: 'registry',
    summary: command.summary,
    ...(command.description === undefined ? {} : { description: command.description }),
    usage: '[OPTIONS] [CONFIG.YML]',
    arity: { min: 0, max: 1 },
    flags: [...command.flags, rootFlag, jsonFlag],
    examples: [command.example],
    completes: ['file'],
    run: async (context, { flags, arguments: [config] }) => {
      const { callControl } = await import('../registry/index.ts');
      const socket = await controlSocket(context, config, flags.string('root'));
      let found = 0;
      for await (const line of callControl(socket, command.path, command.query(flags), context.signal)) {
        const { done } = line as Answer;
        if (flags.boolean('json')) context.terminal.print(JSON.stringify(line));
        else if (done) context.terminal.print(command.done(done, found));
        else for (const text of command.item(line as Item)) context.terminal.print(text);
        if (!done) found++;
      }
      return 0;
    },
  };
}

async function controlSocket(
  context: CommandContext,
  path: string | undefined,
  root: string | undefined,
): Promise<string> {
  const folder = root ?? (await configOf(context, path)).storage.filesystem.rootdirectory;
  return join(folder, 'control.sock');
}

function given(name: string, value: string | boolean | undefined): Readonly<Record<string, string>> {
  return value === undefined || value === false ? {} : { [name]: String(value) };
}

interface Decision {
  readonly kind: string;
  readonly repository: string;
  readonly digest: string;
  readonly size: number;
  readonly keep: boolean;
  readonly reason: string;
}

const gc = maintenanceCommand<Decision>({
  name: 'gc',
  summary: 'Remove what nothing needs from a serving registry',
  description:
    'Pushes and pulls go on meanwhile. A dry run says of each thing that would be looked at why it stays or goes.',
  flags: [
    { name: 'dry-run', type: 'boolean', description: 'Only say what would go, and why' },
    { name: 'grace', type: 'string', value: 'duration', description: 'Leave what is younger (default 1h)' },
    {
      name: 'untagged',
      type: 'boolean',
      description: 'Also manifests that no tag, index or subject leads to',
    },
    {
      name: 'full',
      type: 'boolean',
      description: 'Look at everything stored, not only at what lost its need',
    },
  ],
  example: { command: 'varve registry gc --dry-run --grace 0s', does: 'What could go now, and why' },
  path: '/collect',
  query: (flags) => ({
    ...given('dry-run', flags.boolean('dry-run')),
    ...given('grace', flags.string('grace')),
    ...given('untagged', flags.boolean('untagged')),
    ...given('full', flags.boolean('full')),
  }),
  item: ({ keep, kind, repository, digest, size, reason }) => {
    const where = repository === '' ? '' : ` of ${repository}`;
    return [`${keep ? 'keep  ' : 'remove'}  ${kind} ${digest}${where} (${formatBytes(size)}): ${reason}`];
  },
  done: ({ manifests, links, blobs, bytes }, found) =>
    Array.isArray(blobs)
      ? `removed ${String(manifests)} manifests, ${String(links)} links, ${blobs.length} blobs, ${formatBytes(Number(bytes))}`
      : `${found} looked at, nothing removed`,
});

interface Finding {
  readonly digest: string;
  readonly state: string;
  readonly reason: string;
  readonly concerned: readonly { readonly repository: string; readonly manifest: string }[];
}

const scrub = maintenanceCommand<Finding>({
  name: 'scrub',
  summary: 'Hash everything that a serving registry stores, and hide what is damaged',
  description: 'A damaged blob is unknown to clients until it is pushed again, which heals it.',
  flags: [
    { name: 'rate', type: 'string', value: 'bytes', description: 'Bytes a second that it reads at most' },
  ],
  example: { command: 'varve registry scrub --rate 100MiB', does: 'Without taking all of the disk' },
  path: '/scrub',
  query: (flags) => given('rate', flags.string('rate')),
  item: ({ digest, state, reason, concerned }) => [
    `${state}  ${digest}: ${reason}`,
    ...concerned.map(({ repository, manifest }) => `  needed by ${repository}@${manifest}`),
  ],
  done: ({ blobs, bytes }, found) =>
    `${String(blobs)} blobs, ${formatBytes(Number(bytes))} read, ${found} findings`,
});

interface Decisions {
  readonly repository: string;
  readonly decisions: readonly { readonly tag: string; readonly keep: boolean; readonly reason: string }[];
}

const retain = maintenanceCommand<Decisions>({
  name: 'retain',
  summary: 'Remove the tags that the retention rules do not keep',
  flags: [{ name: 'dry-run', type: 'boolean', description: 'Only say what would go, and why' }],
  example: {
    command: 'varve registry retain --dry-run registry.yml',
    does: 'Each tag with the rule that decided',
  },
  path: '/retain',
  query: (flags) => given('dry-run', flags.boolean('dry-run')),
  item: ({ repository, decisions }) =>
    decisions.map(
      ({ tag, keep, reason }) => `${keep ? 'keep  ' : 'remove'}  ${repository}:${tag}: ${reason}`,
    ),
  done: (_, found) => `${found} repositories looked at`,
});

interface Usage {
  readonly repository: string;
  readonly bytes: number;
  readonly limits: readonly {
    readonly scope: string;
    readonly name: string;
    readonly limit: number;
    readonly used: number;
    readonly reserved: number;
  }[];
}

const usage = maintenanceCommand<Usage>({
  name: 'usage',
  summary: 'Show what the repositories of a serving registry are billed for, and their quotas',
  flags: [],
  example: { command: 'varve registry usage', does: 'Bytes of each repository' },
  path: '/usage',
  query: () => ({}),
  item: ({ repository, bytes, limits }) => [
    `${repository}  ${formatBinaryBytes(bytes)}`,
    ...limits.map(
      ({ scope, name, limit, used, reserved }) =>
        `  ${scope} ${name}: ${formatBinaryBytes(used)} of ${formatBinaryBytes(limit)}${reserved > 0 ? `, ${formatBinaryBytes(reserved)} reserved` : ''}`,
    ),
  ],
  done: (_, found) => `${found} repositories`,
});

/** Commands that keep a serving registry in order. */
export const registryMaintenanceCommands: readonly Command[] = [gc, retain, scrub, usage];
