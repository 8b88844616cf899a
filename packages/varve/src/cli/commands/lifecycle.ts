import { EngineError } from '@varve/client';
import { VarveError } from '../../base/index.ts';
import { interactiveSession } from '../attach.ts';
import type { Command, CommandContext } from '../command.ts';
import { errorText } from '../error-text.ts';
import type { Flag, FlagValues, ParsedArguments } from '../flags.ts';

const timeout: Flag = {
  name: 'timeout',
  short: 't',
  type: 'number',
  value: 'int',
  description: 'Seconds to wait before killing the container',
};
/** The name it had before Docker 28. */
const time: Flag = { name: 'time', type: 'number', hidden: true, description: '' };
const seconds = (flags: FlagValues): number | undefined => flags.number('timeout') ?? flags.number('time');
const signal: Flag = {
  name: 'signal',
  short: 's',
  type: 'string',
  value: 'signal',
  description: 'Signal to send',
};

/** Does the same to each name, prints each that went well, reports the others at the end. */
async function forEach(
  context: CommandContext,
  names: readonly string[],
  action: (name: string) => Promise<unknown>,
  options: {
    readonly print?: boolean;
    readonly missingIsFine?: boolean;
    /** Said at the end of the names that failed. */
    readonly summary?: string;
  } = {},
): Promise<number> {
  const failed: string[] = [];
  for (const name of names) {
    try {
      await action(name);
      if (options.print !== false) context.terminal.print(name);
    } catch (error) {
      if (!EngineError.is(error) || error.status === 0) throw error;
      context.terminal.warn(errorText(error));
      // What is to be gone and is not there is no failure.
      if (!(options.missingIsFine === true && error.status === 404)) failed.push(name);
    }
  }
  if (failed.length > 0 && options.summary !== undefined)
    context.terminal.warn(`Error: ${options.summary}: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

function command(
  name: string,
  summary: string,
  flags: readonly Flag[],
  action: (context: CommandContext, parsed: ParsedArguments) => Promise<(name: string) => Promise<unknown>>,
  example: string,
): Command {
  return {
    path: [name],
    aliases: [['container', name]],
    group: 'container',
    summary,
    usage: '[OPTIONS] CONTAINER [CONTAINER...]',
    arity: { min: 1 },
    flags,
    examples: [{ command: `varve ${name} web`, does: example }],
    completes: ['container'],
    run: async (context, parsed) =>
      forEach(context, parsed.arguments, await action(context, parsed), {
        missingIsFine: parsed.flags.boolean('force'),
      }),
  };
}

export const lifecycleCommands: readonly Command[] = [
  command(
    'stop',
    'Stop containers: SIGTERM, then SIGKILL',
    [timeout, time, signal],
    async (context, { flags }) => {
      const engine = await context.engine();
      return (name) =>
        engine.containers.stop(name, { timeout: seconds(flags), signalName: flags.string('signal') });
    },
    'Ask it to end; kill it after ten seconds',
  ),
  command(
    'restart',
    'Restart containers',
    [timeout, time, signal],
    async (context, { flags }) => {
      const engine = await context.engine();
      return (name) =>
        engine.containers.restart(name, {
          timeout: seconds(flags),
          signalName: flags.string('signal'),
        });
    },
    'Stop and start it',
  ),
  command(
    'kill',
    'Kill containers',
    [{ ...signal, description: 'Signal to send (default SIGKILL)' }],
    async (context, { flags }) => {
      const engine = await context.engine();
      return (name) => engine.containers.kill(name, flags.string('signal'));
    },
    'Send SIGKILL',
  ),
  command(
    'pause',
    'Freeze all processes of containers',
    [],
    async (context) => {
      const engine = await context.engine();
      return (name) => engine.containers.pause(name);
    },
    'Freeze it',
  ),
  command(
    'unpause',
    'Let frozen containers go on',
    [],
    async (context) => {
      const engine = await context.engine();
      return (name) => engine.containers.unpause(name);
    },
    'Thaw it',
  ),
  {
    ...command(
      'rm',
      'Remove containers',
      [
        { name: 'force', short: 'f', type: 'boolean', description: 'Kill it first when it runs' },
        { name: 'volumes', short: 'v', type: 'boolean', description: 'Remove its anonymous volumes too' },
        { name: 'link', short: 'l', type: 'boolean', hidden: true, description: '' },
      ],
      async (context, { flags }) => {
        const engine = await context.engine();
        const options = { force: flags.boolean('force'), volumes: flags.boolean('volumes') };
        return async (name) => {
          await engine.containers.remove(name, options);
        };
      },
      'Remove a stopped container',
    ),
    aliases: [
      ['container', 'rm'],
      ['container', 'remove'],
    ],
  },
  {
    path: ['wait'],
    aliases: [['container', 'wait']],
    group: 'container',
    summary: 'Wait until containers end, then print their exit codes',
    usage: 'CONTAINER [CONTAINER...]',
    arity: { min: 1 },
    flags: [],
    examples: [{ command: 'varve wait job', does: 'Block until it ends' }],
    completes: ['container'],
    run: async (context, { arguments: names }) => {
      const engine = await context.engine();
      return forEach(
        context,
        names,
        async (name) => {
          context.terminal.print(String((await engine.containers.wait(name)).StatusCode));
        },
        { print: false },
      );
    },
  },
  {
    path: ['start'],
    aliases: [['container', 'start']],
    group: 'container',
    summary: 'Start stopped containers',
    usage: '[OPTIONS] CONTAINER [CONTAINER...]',
    arity: { min: 1 },
    flags: [
      { name: 'attach', short: 'a', type: 'boolean', description: 'Attach to its output' },
      { name: 'interactive', short: 'i', type: 'boolean', description: 'Attach to its stdin' },
    ],
    examples: [{ command: 'varve start -ai job', does: 'Run it again in the foreground' }],
    completes: ['container'],
    run: async (context, { flags, arguments: names }) => {
      const engine = await context.engine();
      if (!flags.boolean('attach') && !flags.boolean('interactive'))
        return forEach(context, names, (name) => engine.containers.start(name), {
          summary: 'failed to start containers',
        });
      const [name, second] = names;
      if (name === undefined || second !== undefined)
        throw new VarveError('invalid', 'USAGE', 'you cannot start and attach multiple containers at once');
      const { Config } = await engine.containers.inspect(name);
      const tty = Config.Tty === true;
      const stdin = flags.boolean('interactive') && Config.OpenStdin === true;
      const attachment = await engine.containers.attach(name, { tty, stdin });
      const exit = engine.containers.wait(name, { condition: 'next-exit' });
      exit.catch(() => undefined);
      await engine.containers.start(name);
      await interactiveSession(context.terminal, attachment, {
        tty,
        stdin,
        resize: (rows, columns) => engine.containers.resize(name, rows, columns),
      });
      return (await exit).StatusCode;
    },
  },
  {
    path: ['attach'],
    aliases: [['container', 'attach']],
    group: 'container',
    summary: 'Connect this terminal with a running container',
    usage: '[OPTIONS] CONTAINER',
    arity: { min: 1, max: 1 },
    flags: [
      { name: 'no-stdin', type: 'boolean', description: "Don't forward stdin" },
      { name: 'detach-keys', type: 'string', value: 'keys', description: 'Keys that detach (ctrl-p,ctrl-q)' },
      { name: 'sig-proxy', type: 'boolean', hidden: true, description: '' },
    ],
    examples: [{ command: 'varve attach job', does: 'Detach again with Ctrl-P Ctrl-Q' }],
    completes: ['container'],
    run: async (context, { flags, arguments: [name = ''] }) => {
      const engine = await context.engine();
      const { Config, State } = await engine.containers.inspect(name);
      if (!State.Running)
        throw new VarveError(
          'conflict',
          'NOT_RUNNING',
          'You cannot attach to a stopped container, start it first',
        );
      const tty = Config.Tty === true;
      const stdin = !flags.boolean('no-stdin') && Config.OpenStdin === true;
      const exit = engine.containers.wait(name);
      exit.catch(() => undefined);
      const attachment = await engine.containers.attach(name, {
        tty,
        stdin,
        detachKeys: flags.string('detach-keys'),
      });
      await interactiveSession(context.terminal, attachment, {
        tty,
        stdin,
        resize: (rows, columns) => engine.containers.resize(name, rows, columns),
      });
      const { State: after } = await engine.containers.inspect(name).catch(() => ({ State: undefined }));
      return after?.Running === true ? 0 : (await exit).StatusCode;
    },
  },
  {
    path: ['rename'],
    aliases: [['container', 'rename']],
    group: 'container',
    summary: 'Rename a container',
    usage: 'CONTAINER NEW_NAME',
    arity: { min: 2, max: 2 },
    flags: [],
    examples: [{ command: 'varve rename web old-web', does: 'Free the name web' }],
    completes: ['container', 'none'],
    run: async (context, { arguments: [name = '', next = ''] }) => {
      try {
        await (await context.engine()).containers.rename(name, next);
        return 0;
      } catch (error) {
        if (!EngineError.is(error) || error.status === 0) throw error;
        context.terminal.warn(errorText(error));
        context.terminal.warn(`Error: failed to rename container named ${name}`);
        return 1;
      }
    },
  },
  {
    path: ['container', 'prune'],
    group: 'container',
    summary: 'Remove all stopped containers',
    usage: '[OPTIONS]',
    arity: { min: 0, max: 0 },
    flags: [
      { name: 'force', short: 'f', type: 'boolean', description: "Don't ask" },
      { name: 'filter', type: 'list', value: 'filter', description: 'Filter, e.g. until=24h' },
    ],
    examples: [{ command: 'varve container prune -f', does: 'Without asking' }],
    run: async (context, parsed) => {
      const { confirm } = await import('../confirm.ts');
      if (!(await confirm(context.terminal, parsed, 'This will remove all stopped containers.'))) return;
      const { filtersOf } = await import('../output/list.ts');
      const { printPruned } = await import('../output/pruned.ts');
      printPruned(context.terminal, await (await context.engine()).containers.prune(filtersOf(parsed)));
    },
  },
];
