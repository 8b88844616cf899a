import { existsSync, writeFileSync } from 'node:fs';
import { type Engine, EngineError } from '@varve/client';
import { VarveError } from '../../base/index.ts';
import { canonicalName, familiarName, parseReference, withDefaultTag } from '../../oci/index.ts';
import { interactiveSession } from '../attach.ts';
import type { Command, CommandContext } from '../command.ts';
import { containerFlags, containerRequest } from '../container-flags.ts';
import { lookUpCredentials } from '../credentials.ts';
import type { FlagValues, ParsedArguments } from '../flags.ts';
import { errorText } from '../error-text.ts';
import { showProgress } from '../output/transfer.ts';
import { signalNumbers } from '../signals.ts';
import type { Terminal } from '../terminal.ts';

/** Creates the container; pulls the image first where the policy says so. @returns its id. */
async function create(
  context: CommandContext,
  engine: Engine,
  { flags, arguments: words }: ParsedArguments,
): Promise<string> {
  const cidfile = flags.string('cidfile');
  if (cidfile !== undefined && existsSync(cidfile)) {
    throw new VarveError(
      'conflict',
      'CIDFILE_EXISTS',
      `container ID file found, make sure the other container isn't running or delete ${cidfile}`,
    );
  }
  const request = containerRequest(flags, words, context.environment);
  const name = flags.string('name');
  const platform = flags.string('platform');
  const options = {
    ...(name === undefined ? {} : { name }),
    ...(platform === undefined ? {} : { platform }),
  };
  const policy = flags.string('pull') ?? 'missing';
  if (!['always', 'missing', 'never'].includes(policy)) {
    throw new VarveError(
      'invalid',
      'USAGE',
      `invalid pull option: '${policy}': must be one of "always", "missing" or "never"`,
    );
  }
  if (policy === 'always') await pull(context, engine, words[0] as string, flags);
  let created: Awaited<ReturnType<Engine['containers']['create']>>;
  try {
    created = await engine.containers.create(request, options);
  } catch (error) {
    const missing = EngineError.is(error, 404) && error.message.startsWith('No such image');
    if (!missing || policy === 'never') throw error;
    if (!flags.boolean('quiet'))
      context.terminal.warn(`Unable to find image '${shown(words[0] as string)}' locally`);
    await pull(context, engine, words[0] as string, flags);
    created = await engine.containers.create(request, options);
  }
  for (const warning of created.Warnings) context.terminal.warn(`WARNING: ${warning}`);
  if (cidfile !== undefined) writeFileSync(cidfile, created.Id);
  return created.Id;
}

function shown(image: string): string {
  const reference = withDefaultTag(parseReference(image));
  return `${familiarName(reference)}:${reference.tag ?? reference.digest}`;
}

async function pull(
  context: CommandContext,
  engine: Engine,
  image: string,
  flags: FlagValues,
): Promise<void> {
  const reference = withDefaultTag(parseReference(image));
  const lines = engine.images.pull(
    { image: canonicalName(reference), tag: reference.digest ?? reference.tag ?? 'latest' },
    {
      auth: await lookUpCredentials(context.environment, reference.domain),
      platform: flags.string('platform'),
      signal: context.signal,
    },
  );
  // What the container prints goes to stdout; the pull's progress must not.
  await showProgress(context.terminal.onStderr(), lines, { quiet: flags.boolean('quiet') });
}

/** Reports what `run` could not do. @returns the exit code. */
function refuse(terminal: Terminal, error: unknown, code: number): number {
  terminal.warn(`varve: ${errorText(error)}\n\nRun 'varve run --help' for more information`);
  return code;
}

/** Docker's exit codes for a container that could not be started (docker/cli run.go). */
function startFailure(error: unknown): number {
  const message = error instanceof Error ? error.message : '';
  if (/executable file not found|no such file or directory|system cannot find the file/.test(message))
    return 127;
  if (/permission denied|is a directory/.test(message)) return 126;
  return 125;
}

/** Forwards signals that end a foreground program to the container while `work` runs. */
async function forwardingSignals<T>(
  engine: Engine,
  id: string,
  wanted: boolean,
  work: () => Promise<T>,
): Promise<T> {
  if (!wanted) return work();
  const handlers = Object.keys(signalNumbers)
    .filter((name) => ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'].includes(name))
    .map((name) => {
      const handler = (): void => void engine.containers.kill(id, name).catch(() => undefined);
      process.on(name as NodeJS.Signals, handler);
      return () => process.off(name, handler);
    });
  try {
    return await work();
  } finally {
    for (const off of handlers) off();
  }
}

async function run(context: CommandContext, parsed: ParsedArguments): Promise<number> {
  const { terminal } = context;
  const { flags } = parsed;
  const engine = await context.engine();
  if (flags.boolean('rm') && !['', 'no'].includes(flags.string('restart') ?? '')) {
    return refuse(
      terminal,
      new VarveError('conflict', 'USAGE', 'conflicting options: cannot specify both --restart and --rm'),
      125,
    );
  }
  let id: string;
  try {
    id = await create(context, engine, parsed);
  } catch (error) {
    if (VarveError.is(error) && error.kind === 'cancelled') throw error;
    return refuse(terminal, error, 125);
  }
  const detached = flags.boolean('detach');
  const remove = flags.boolean('rm');
  const tty = flags.boolean('tty');
  const stdin = flags.boolean('interactive') && !detached;
  if (!detached && tty && stdin && !terminal.stdin.isTTY) {
    await engine.containers.remove(id, { force: true });
    terminal.warn('the input device is not a TTY');
    return 1;
  }
  try {
    if (detached) {
      await engine.containers.start(id);
      terminal.print(id);
      return 0;
    }
    const attached = flags.list('attach').map((stream) => stream.toLowerCase());
    const attachment = await engine.containers.attach(id, {
      tty,
      stdin,
      stdout: attached.length === 0 || attached.includes('stdout'),
      stderr: attached.length === 0 || attached.includes('stderr'),
      detachKeys: flags.string('detach-keys'),
    });
    const ready = Promise.withResolvers<void>();
    const exit = engine.containers.wait(id, {
      condition: remove ? 'removed' : 'next-exit',
      onReady: ready.resolve,
    });
    exit.catch(ready.reject);
    await ready.promise;
    try {
      await engine.containers.start(id);
    } catch (error) {
      attachment.socket.destroy();
      exit.catch(() => undefined);
      if (remove) await engine.containers.remove(id, { force: true }).catch(() => undefined);
      throw error;
    }
    return await forwardingSignals(
      engine,
      id,
      flags.given('sig-proxy') ? flags.boolean('sig-proxy') : !tty,
      async () => {
        await interactiveSession(terminal, attachment, {
          tty,
          stdin,
          resize: (rows, columns) => engine.containers.resize(id, rows, columns),
        });
        // Detached by its keys: the container runs on.
        if (tty && stdin) {
          const state = await engine.containers.inspect(id).catch(() => undefined);
          if (state?.State.Running === true) return 0;
        }
        return (await exit).StatusCode;
      },
    );
  } catch (error) {
    return refuse(terminal, error, startFailure(error));
  }
}

export const runCommand: Command = {
  path: ['run'],
  aliases: [['container', 'run']],
  group: 'common',
  summary: 'Create and run a new container from an image',
  description:
    "Exit code: the container's own; 125 when the engine refused, 126 when the command cannot be invoked, 127 when it cannot be found.",
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  arity: { min: 1 },
  interspersed: false,
  flags: [
    ...containerFlags,
    { name: 'detach', short: 'd', type: 'boolean', description: 'Run in the background and print the id' },
    { name: 'detach-keys', type: 'string', value: 'keys', description: 'Keys that detach (ctrl-p,ctrl-q)' },
    { name: 'sig-proxy', type: 'boolean', description: 'Forward signals to the container' },
  ],
  examples: [
    { command: 'varve run -it --rm debian:bookworm', does: 'A shell in a throw-away container' },
    {
      command: 'varve run -d --name web -p 8080:80 -v data:/data app',
      does: 'A service in the background, with a port and a volume',
    },
    { command: 'varve run --rm -m 64m --cpus 0.5 app ./work', does: 'With limits' },
  ],
  completes: ['image'],
  run,
};

export const createCommand: Command = {
  path: ['create'],
  aliases: [['container', 'create']],
  group: 'container',
  summary: 'Create a container without starting it',
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  arity: { min: 1 },
  interspersed: false,
  flags: containerFlags,
  examples: [
    { command: 'varve create --name job app ./work', does: 'To be started later with `varve start job`' },
  ],
  completes: ['image'],
  run: async (context, parsed) => {
    context.terminal.print(await create(context, await context.engine(), parsed));
  },
};
