import { parseBytes, VarveError } from '../../base/index.ts';
import type { Command } from '../command.ts';
import { changeFlag, messageFlag } from '../image-change-flags.ts';
import { splitTag } from '../names.ts';

const update: Command = {
  path: ['update'],
  aliases: [['container', 'update']],
  group: 'container',
  summary: 'Change limits of containers',
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  arity: { min: 1 },
  flags: [
    { name: 'memory', short: 'm', type: 'string', value: 'bytes', description: 'Memory limit' },
    { name: 'memory-swap', type: 'string', value: 'bytes', description: 'Memory and swap limit' },
    { name: 'cpus', type: 'number', description: 'Number of CPUs' },
    { name: 'cpu-shares', short: 'c', type: 'number', description: 'CPU shares' },
    { name: 'cpuset-cpus', type: 'string', value: 'list', description: 'CPUs it may run on' },
    { name: 'pids-limit', type: 'number', description: 'Limit of processes' },
    { name: 'restart', type: 'string', value: 'policy', description: 'Restart policy' },
  ],
  examples: [{ command: 'varve update -m 256m web', does: 'A new memory limit' }],
  completes: ['container'],
  run: async (context, { flags, arguments: names }) => {
    if (!update.flags.some((flag) => flags.given(flag.name)))
      throw new VarveError('invalid', 'USAGE', 'you must provide one or more flags when using this command');
    const engine = await context.engine();
    const bytes = (name: string): number | undefined =>
      flags.string(name) === undefined
        ? undefined
        : flags.string(name) === '-1'
          ? -1
          : parseBytes(flags.string(name) as string);
    const cpus = flags.number('cpus');
    const restart = flags.string('restart')?.split(':');
    for (const name of names) {
      const { Warnings } = await engine.containers.update(name, {
        Memory: bytes('memory'),
        MemorySwap: bytes('memory-swap'),
        NanoCpus: cpus === undefined ? undefined : Math.round(cpus * 1e9),
        CpuShares: flags.number('cpu-shares'),
        CpusetCpus: flags.string('cpuset-cpus'),
        PidsLimit: flags.number('pids-limit'),
        ...(restart === undefined
          ? {}
          : { RestartPolicy: { Name: restart[0] as string, MaximumRetryCount: Number(restart[1] ?? 0) } }),
      });
      for (const warning of Warnings ?? []) context.terminal.warn(`WARNING: ${warning}`);
      context.terminal.print(name);
    }
  },
};

const commit: Command = {
  path: ['commit'],
  aliases: [['container', 'commit']],
  group: 'container',
  summary: "Make an image of a container's changes",
  usage: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  arity: { min: 1, max: 2 },
  flags: [
    { name: 'author', short: 'a', type: 'string', value: 'name', description: 'Author' },
    changeFlag,
    messageFlag,
    {
      name: 'pause',
      short: 'p',
      type: 'boolean',
      default: true,
      description: 'Freeze the container meanwhile',
    },
  ],
  examples: [{ command: 'varve commit -c \'CMD ["serve"]\' web web:fixed', does: 'With another command' }],
  completes: ['container', 'image'],
  run: async (context, { flags, arguments: [name = '', target] }) => {
    const { repo, tag } = target === undefined ? { repo: undefined, tag: undefined } : splitTag(target);
    const { Id } = await (await context.engine()).containers.commit(name, {
      repo,
      tag,
      comment: flags.string('message'),
      author: flags.string('author'),
      pause: flags.boolean('pause'),
      changes: flags.list('change'),
    });
    context.terminal.print(Id);
  },
};

/** What alters a container's settings, or makes an image of it. */
export const changeCommands: readonly Command[] = [update, commit];
