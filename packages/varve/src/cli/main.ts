import { EngineError } from '@varve/client';
import { VarveError } from '../base/index.ts';
import type { Command, CommandContext } from './command.ts';
import { complete } from './complete.ts';
import { errorText } from './error-text.ts';
import { type Flag, parseFlags } from './flags.ts';
import { commandHelp, overview } from './help.ts';
import type { Terminal } from './terminal.ts';

/** Flags before the command, as Docker's. */
const globalFlags: readonly Flag[] = [
  {
    name: 'host',
    short: 'H',
    type: 'string',
    value: 'address',
    description: 'Engine to talk to: unix:///path or tcp://host:port',
  },
  { name: 'config', type: 'string', value: 'folder', description: 'Folder with config.json (credentials)' },
  { name: 'log-level', short: 'l', type: 'string', hidden: true, description: '' },
  { name: 'debug', short: 'D', type: 'boolean', description: 'Show stack traces of errors' },
  { name: 'version', short: 'v', type: 'boolean', description: 'Print the version and quit' },
  { name: 'help', short: 'h', type: 'boolean', description: 'Print help and quit' },
];
const helpFlag: Flag = { name: 'help', type: 'boolean', hidden: true, description: 'Print usage' };

export interface MainOptions {
  readonly commands: readonly Command[];
  readonly terminal: Terminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly version: string;
  readonly engine: (host: string | undefined) => ReturnType<CommandContext['engine']>;
  readonly storageDrivers: CommandContext['storageDrivers'];
}

/** The command whose name starts the words, the longest one first. */
function findCommand(
  commands: readonly Command[],
  words: readonly string[],
): { readonly command: Command; readonly depth: number } | undefined {
  let best: { readonly command: Command; readonly depth: number } | undefined;
  for (const command of commands) {
    for (const path of [command.path, ...(command.aliases ?? [])]) {
      if (path.length > (best?.depth ?? 0) && path.every((word, index) => words[index] === word))
        best = { command, depth: path.length };
    }
  }
  return best;
}

/** Runs one command line. @returns the exit code. */
export async function main(words: readonly string[], options: MainOptions): Promise<number> {
  const { commands, terminal } = options;
  let debug = false;
  let engine: ReturnType<CommandContext['engine']> | undefined;
  try {
    const globals = parseFlags(globalFlags, words, { interspersed: false });
    debug = globals.flags.boolean('debug');
    const rest = globals.arguments;
    if (globals.flags.boolean('version')) {
      terminal.print(`Varve version ${options.version}`);
      return 0;
    }
    if (rest[0] === '__complete') {
      for (const line of await complete(commands, globalFlags, rest.slice(1), () =>
        options.engine(undefined),
      ))
        terminal.print(line);
      return 0;
    }
    const wantsHelp = globals.flags.boolean('help') || rest[0] === 'help';
    const named = rest[0] === 'help' ? rest.slice(1) : rest;
    const found = findCommand(commands, named);
    if (!found) return unknown(named, wantsHelp, options);
    const { command, depth } = found;
    if (wantsHelp) {
      terminal.print(commandHelp(command, terminal.width));
      return 0;
    }
    const parsed = parseFlags([...command.flags, helpFlag], named.slice(depth), {
      interspersed: command.interspersed ?? true,
      usage: `\n\n${usageOf(command)}`,
    });
    if (parsed.flags.boolean('help')) {
      terminal.print(commandHelp(command, terminal.width));
      return 0;
    }
    checkArity(command, parsed.arguments.length);
    const host = globals.flags.string('host');
    const config = globals.flags.string('config');
    const code = await command.run(
      {
        terminal,
        environment:
          config === undefined ? options.environment : { ...options.environment, DOCKER_CONFIG: config },
        host,
        signal: options.signal,
        engine: () => (engine ??= options.engine(host)),
        storageDrivers: options.storageDrivers,
      },
      parsed,
    );
    return code ?? 0;
  } catch (error) {
    return report(error, terminal, debug);
  } finally {
    // A wait that is still under way (for a container detached from) must not keep this process.
    await engine?.then(
      (connected) => connected.close(),
      () => undefined,
    );
  }
}

function unknown(words: readonly string[], wantsHelp: boolean, options: MainOptions): number {
  const { commands, terminal } = options;
  const isPrefix =
    words.length === 0 ||
    commands.some((command) =>
      [command.path, ...(command.aliases ?? [])].some((path) => path[0] === words[0]),
    );
  const asked = words.filter((word) => word !== '--help' && word !== '-h');
  if (isPrefix && (wantsHelp || asked.length <= 1)) {
    terminal.print(overview(commands, globalFlags, asked, terminal.width));
    return 0;
  }
  const word = isPrefix ? (words[1] as string) : (words[0] as string);
  const near = nearest(
    word,
    commands
      .flatMap((command) => [command.path, ...(command.aliases ?? [])])
      .filter((path) => !isPrefix || path[0] === words[0])
      .map((path) => path[isPrefix ? 1 : 0] ?? ''),
  );
  terminal.warn(`varve: unknown command: varve ${isPrefix ? `${words[0]} ${word}` : word}`);
  if (near !== undefined) terminal.warn(`hint: did you mean '${near}'?`);
  terminal.warn("\nRun 'varve --help' for more information");
  return 1;
}

function usageOf(command: Command): string {
  const name = `varve ${command.path.join(' ')}`;
  return `Usage:  ${name} ${command.usage}\n\nRun '${name} --help' for more information`;
}

function checkArity(command: Command, count: number): void {
  const { min, max } = command.arity;
  const name = `varve ${command.path.join(' ')}`;
  const plural = (n: number): string => `${n} argument${n === 1 ? '' : 's'}`;
  let wrong: string | undefined;
  if (min === max && count !== min) wrong = min === 0 ? 'accepts no arguments' : `requires ${plural(min)}`;
  else if (count < min) wrong = `requires at least ${plural(min)}`;
  else if (max !== undefined && count > max) wrong = `requires at most ${plural(max)}`;
  if (wrong === undefined) return;
  throw new VarveError('invalid', 'USAGE', `varve: '${name}' ${wrong}\n\n${usageOf(command)}`);
}

/** Prints an error and its hint. @returns the exit code: 125 for flags that do not parse, 130 when cancelled, else 1. */
export function report(error: unknown, terminal: Terminal, debug: boolean): number {
  const known = VarveError.from(error);
  if (known.kind === 'cancelled') return 130;
  terminal.warn(errorText(error));
  if (known.hint !== undefined) terminal.warn(`hint: ${known.hint}`);
  if (debug) terminal.warn(String((error as Error).stack ?? error));
  if (EngineError.is(error) && error.exitCode !== undefined) return error.exitCode;
  return exitCodes[known.code] ?? 1;
}

/** Exit codes of mistakes on the command line, as Docker's client gives them. */
const exitCodes: Readonly<Record<string, number>> = { FLAG: 125, TEMPLATE_SYNTAX: 64 };

/** The word that is a few letters off, if there is one: one letter in three may be wrong. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 0.5;
  for (const candidate of new Set(candidates)) {
    const distance = editDistance(word, candidate);
    const closer =
      distance < bestDistance ||
      // Swapped letters are likelier than a lost one.
      (distance === bestDistance && candidate.length === word.length && best?.length !== word.length);
    if (closer && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Letters to add, drop, change or swap with their neighbour (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return at(a.length, b.length);
}
