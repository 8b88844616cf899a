import type { Engine } from '@varve/client';
import type { StorageDriver } from '../storage/index.ts';
import type { Flag, ParsedArguments } from './flags.ts';
import type { Terminal } from './terminal.ts';

/** What a command gets to work with. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Settings: environment variables by name. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `--host`, when given. */
  readonly host: string | undefined;
  /** Fires on Ctrl-C. */
  readonly signal: AbortSignal;
  /** The engine named by --host, VARVE_HOST, DOCKER_HOST or the default socket. */
  engine(): Promise<Engine>;
  /** The storage drivers there are, over the data root of an engine that need not be there; nothing is made. */
  readonly storageDrivers: (dataRoot: string) => Promise<readonly StorageDriver[]>;
}

/** One command of the table: everything about it but what it does is data, so that help, docs and completion agree. */
export interface Command {
  /** Words that name it: `['image', 'ls']`. */
  readonly path: readonly string[];
  /** Other full names, e.g. `['images']`. */
  readonly aliases?: readonly (readonly string[])[];
  /** Heading it stands under in the list of commands. */
  readonly group:
    | 'common'
    | 'image'
    | 'container'
    | 'network'
    | 'volume'
    | 'registry'
    | 'system'
    | 'explain'
    | 'builder';
  readonly summary: string;
  /** Further paragraphs of the help. */
  readonly description?: string;
  /** After the name: `[OPTIONS] IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly arity: { readonly min: number; readonly max?: number };
  /** False: flags end at the first argument (`run`, `exec`). */
  readonly interspersed?: boolean;
  readonly flags: readonly Flag[];
  readonly examples: readonly { readonly command: string; readonly does: string }[];
  /** What the n-th argument is, for completion. */
  readonly completes?: readonly ('image' | 'container' | 'network' | 'volume' | 'file' | 'none')[];
  /** Does it. @returns the exit code, 0 when undefined. */
  readonly run: (context: CommandContext, parsed: ParsedArguments) => Promise<number | void>;
}
