import { parseDuration } from '../base/index.ts';
import { locate, syntaxError } from './errors.ts';
import { type FlagKind, type Flags, readFlags } from './flags.ts';
import { chompTabs, parseHeredocMark } from './heredoc.ts';
import { parseMount } from './mount.ts';
import { type RawInstruction, splitInstruction } from './reader.ts';
import { didYouMean } from './suggest.ts';
import type { CommandLine, FromInstruction, InlineFile, Instruction } from './types.ts';
import { parseJsonArray, parsePairs, splitBlanks, splitQuoted } from './words.ts';

/** The parts of an instruction its grammar looks at. */
interface Input {
  readonly raw: RawInstruction;
  readonly rest: string;
  readonly flags: Flags;
  readonly escape: string;
}

interface Grammar {
  readonly flags: Readonly<Record<string, FlagKind>>;
  /** What is special to the instruction; the common fields are added by the caller. */
  read(input: Input): object;
}

const atLeastOne = (name: string): Error => syntaxError(`${name} requires at least one argument`);

/** Exec form when it is a JSON array of strings, shell form otherwise. */
function commandLine(text: string): CommandLine {
  const args = parseJsonArray(text);
  return args === undefined ? { form: 'shell', text } : { form: 'exec', args };
}

/** The one argument of MAINTAINER, STOPSIGNAL, USER and WORKDIR: the rest of the line. */
function single(name: string, field: string): Grammar {
  return {
    flags: {},
    read: ({ rest }) => {
      if (rest === '') throw syntaxError(`${name} requires exactly one argument`);
      return { [field]: rest };
    },
  };
}

function pairs(name: string): Grammar {
  return { flags: {}, read: ({ rest, escape }) => parsePairs(name, rest, escape) };
}

function list(name: string, field: string, json: boolean): Grammar {
  return {
    flags: {},
    read: ({ rest }) => {
      const items = (json ? parseJsonArray(rest) : undefined) ?? splitBlanks(rest);
      if (items.length === 0) throw atLeastOne(name);
      if (items.some((item) => item.trim() === '')) {
        throw syntaxError(`${name} specified can not be an empty string`);
      }
      return { [field]: items };
    },
  };
}

function optional(entries: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}

function transfer(name: 'ADD' | 'COPY', { raw, rest, flags }: Input): object {
  const words = parseJsonArray(rest) ?? splitBlanks(rest);
  const destination = words.at(-1);
  if (destination === undefined || words.length < 2) {
    throw syntaxError(
      `${name} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
  if (parseHeredocMark(destination)) throw syntaxError(`${name} cannot accept a heredoc as a destination`);
  const sources: string[] = [];
  const files: InlineFile[] = [];
  for (const word of words.slice(0, -1)) {
    const mark = raw.heredocs.length > 0 ? parseHeredocMark(word) : undefined;
    const body = raw.heredocs.find((heredoc) => heredoc.name === mark?.name);
    if (!mark || !body) sources.push(word);
    else {
      const content = mark.chomp ? chompTabs(body.content) : body.content;
      files.push({ name: mark.name, content, expand: mark.expand });
    }
  }
  return {
    sources,
    files,
    destination,
    link: flags.boolean('link') ?? false,
    exclude: flags.list('exclude'),
    ...optional({ chown: flags.string('chown'), chmod: flags.string('chmod') }),
  };
}

function duration(flags: Flags, name: string): number | undefined {
  const text = flags.string(name);
  if (text === undefined) return undefined;
  const value = parseDuration(text);
  if (value !== 0 && value < 1_000_000) throw syntaxError(`Interval "${name}" cannot be less than 1ms`);
  return value;
}

function healthcheck({ rest, flags }: Input): object {
  const match = /^(\S+)\s*([^]*)$/.exec(rest);
  if (!match) throw atLeastOne('HEALTHCHECK');
  const type = (match[1] as string).toUpperCase();
  const command = match[2] as string;
  if (type === 'NONE') {
    if (command !== '') throw syntaxError('HEALTHCHECK NONE takes no arguments');
    return {};
  }
  if (type !== 'CMD') throw syntaxError(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  const line = commandLine(command);
  if (line.form === 'shell' ? line.text === '' : line.args.length === 0) {
    throw syntaxError('Missing command after HEALTHCHECK CMD');
  }
  const retries = flags.string('retries');
  if (retries !== undefined && !/^-?\d{1,9}$/.test(retries)) {
    throw syntaxError(`strconv.ParseInt: parsing ${JSON.stringify(retries)}: invalid syntax`);
  }
  if (Number(retries) < 0) throw syntaxError(`--retries cannot be negative (${retries})`);
  return {
    command: line,
    ...optional({
      interval: duration(flags, 'interval'),
      timeout: duration(flags, 'timeout'),
      startPeriod: duration(flags, 'start-period'),
      startInterval: duration(flags, 'start-interval'),
      retries: retries === undefined ? undefined : Number(retries),
    }),
  };
}

function onbuild({ raw, rest }: Input): object {
  if (rest === '') throw atLeastOne('ONBUILD');
  const { keyword } = splitInstruction(rest);
  const name = keyword.toUpperCase();
  if (name === 'ONBUILD') throw syntaxError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (name === 'FROM' || name === 'MAINTAINER') {
    throw syntaxError(`${name} isn't allowed as an ONBUILD trigger`);
  }
  const bodies = raw.heredocs.map((heredoc) => `\n${heredoc.content}${heredoc.name}`);
  return { trigger: rest + bodies.join('') };
}

function from({ rest, flags }: Input): object {
  const words = splitBlanks(rest);
  const [base, as, name] = words;
  const platform = optional({ platform: flags.string('platform') });
  if (words.length === 1) return { base, ...platform };
  if (words.length !== 3 || as?.toLowerCase() !== 'as' || name === undefined) {
    throw syntaxError('FROM requires either one or three arguments');
  }
  const stage = name.toLowerCase();
  if (!/^[a-z][a-z0-9-_.]*$/.test(stage)) {
    throw syntaxError(
      `invalid name for build stage: ${JSON.stringify(name)}, name can't start with a number or contain symbols`,
    );
  }
  return { base, as: stage, written: { as, name }, ...platform };
}

function choice<T extends string>(flags: Flags, name: string, values: readonly T[]): T {
  const value = flags.string(name) ?? values[0];
  const found = values.find((candidate) => candidate === value);
  if (found === undefined) throw syntaxError(`${name} ${JSON.stringify(value)} is not valid`);
  return found;
}

function run({ raw, rest, flags }: Input): object {
  if (rest === '') throw atLeastOne('RUN');
  const mounts = flags.list('mount');
  // What holds a variable can be checked only once it is expanded.
  for (const mount of mounts) if (!mount.includes('$')) parseMount(mount);
  return {
    command: commandLine(rest),
    heredocs: raw.heredocs,
    mounts,
    network: choice(flags, 'network', ['default', 'none', 'host']),
    security: choice(flags, 'security', ['sandbox', 'insecure']),
  };
}

const command: Grammar = { flags: {}, read: ({ rest }) => ({ command: commandLine(rest) }) };
const transferFlags = { chown: 'string', chmod: 'string', link: 'boolean', exclude: 'list' } as const;

/** Every instruction, its flags and how its arguments are read (Dockerfile reference). */
const grammars: Readonly<Record<string, Grammar>> = {
  ADD: {
    flags: { ...transferFlags, checksum: 'string', 'keep-git-dir': 'boolean', unpack: 'boolean' },
    read: (input) => ({
      ...transfer('ADD', input),
      keepGitDir: input.flags.boolean('keep-git-dir') ?? false,
      ...optional({ checksum: input.flags.string('checksum'), unpack: input.flags.boolean('unpack') }),
    }),
  },
  ARG: {
    flags: {},
    read: ({ rest, escape }) => {
      const words = splitQuoted(rest, escape);
      if (words.length === 0) throw atLeastOne('ARG');
      return {
        args: words.map((word) => {
          const at = word.indexOf('=');
          if (at === 0) throw syntaxError('ARG names can not be blank');
          return at < 0 ? { name: word } : { name: word.slice(0, at), value: word.slice(at + 1) };
        }),
      };
    },
  },
  CMD: command,
  COPY: {
    flags: { ...transferFlags, from: 'string', parents: 'boolean' },
    read: (input) => ({
      ...transfer('COPY', input),
      parents: input.flags.boolean('parents') ?? false,
      ...optional({ from: input.flags.string('from') }),
    }),
  },
  ENTRYPOINT: command,
  ENV: pairs('ENV'),
  EXPOSE: list('EXPOSE', 'ports', false),
  FROM: { flags: { platform: 'string' }, read: from },
  HEALTHCHECK: {
    flags: {
      interval: 'string',
      timeout: 'string',
      'start-period': 'string',
      'start-interval': 'string',
      retries: 'string',
    },
    read: healthcheck,
  },
  LABEL: pairs('LABEL'),
  MAINTAINER: single('MAINTAINER', 'name'),
  ONBUILD: { flags: {}, read: onbuild },
  RUN: { flags: { mount: 'list', network: 'string', security: 'string' }, read: run },
  SHELL: {
    flags: {},
    read: ({ rest }) => {
      const shell = parseJsonArray(rest);
      if (shell === undefined) throw syntaxError('SHELL requires the arguments to be in JSON form');
      if (shell.length === 0) throw atLeastOne('SHELL');
      return { shell };
    },
  },
  STOPSIGNAL: single('STOPSIGNAL', 'signal'),
  USER: single('USER', 'user'),
  VOLUME: list('VOLUME', 'paths', true),
  WORKDIR: single('WORKDIR', 'path'),
};

/**
 * Reads one instruction. ONBUILD's own trigger is kept as text; its grammar is checked too.
 * @throws VarveError `DOCKERFILE_INVALID` with the line, in Docker's words.
 */
export function parseInstruction(raw: RawInstruction, escape: string): Instruction | FromInstruction {
  return locate(raw.range, () => {
    const kind = raw.keyword.toUpperCase();
    const grammar = Object.hasOwn(grammars, kind) ? grammars[kind] : undefined;
    if (!grammar) {
      throw syntaxError(
        `unknown instruction: ${raw.keyword}${didYouMean(raw.keyword, Object.keys(grammars))}`,
      );
    }
    const flags = readFlags(grammar.flags, raw.flags);
    // Flags of an ONBUILD trigger belong to the trigger.
    const fields = grammar.read({ raw, rest: raw.rest, flags, escape });
    if (kind === 'ONBUILD') {
      parseInstruction({ ...raw, ...splitInstruction(raw.rest), text: raw.rest }, escape);
    }
    const common = { kind, text: raw.text, keyword: raw.keyword, range: raw.range };
    // The table above pairs each kind with the fields of its type.
    return { ...common, ...fields } as Instruction | FromInstruction;
  });
}
