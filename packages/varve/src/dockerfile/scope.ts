import { formatPlatform, type Platform } from '../oci/index.ts';
import { type ExpandOptions, expandWord, type Variables } from './expand.ts';
import type { ArgInstruction, EnvInstruction, KeyValue } from './types.ts';

/** Build arguments that need no ARG, are set for RUN only and take no part in cache keys or history. */
export const proxyArgs: ReadonlySet<string> = new Set(
  ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [
    name,
    name.toLowerCase(),
  ]),
);

/** BUILD… and TARGET… arguments of the global scope (Dockerfile reference, "Automatic platform ARGs"). */
export function platformArgs(build: Platform, target: Platform): Variables {
  const args: Record<string, string> = {};
  for (const [prefix, platform] of [
    ['BUILD', build],
    ['TARGET', target],
  ] as const) {
    args[`${prefix}PLATFORM`] = formatPlatform(platform);
    args[`${prefix}OS`] = platform.os;
    args[`${prefix}OSVERSION`] = platform['os.version'] ?? '';
    args[`${prefix}ARCH`] = platform.architecture;
    args[`${prefix}VARIANT`] = platform.variant ?? '';
  }
  return args;
}

/** Values given by the one who builds; null means "not given". */
export type BuildArgs = Readonly<Record<string, string | null>>;

function given(args: BuildArgs, name: string): string | undefined {
  return Object.hasOwn(args, name) ? (args[name] ?? undefined) : undefined;
}

/** The ARGs before the first FROM, each seeing those above it; what the caller gives wins over a default. */
export function globalScope(
  instructions: readonly ArgInstruction[],
  automatic: Variables,
  buildArgs: BuildArgs,
  options: ExpandOptions,
): Variables {
  const values: Record<string, string> = { ...automatic };
  for (const [name, value] of Object.entries(buildArgs)) {
    if (Object.hasOwn(automatic, name) && value !== null) values[name] = value;
  }
  for (const { args } of instructions) {
    for (const arg of args) {
      const name = expandWord(arg.name, values, options).text;
      const value =
        given(buildArgs, name) ??
        (arg.value === undefined ? undefined : expandWord(arg.value, values, options).text);
      if (value !== undefined) values[name] = value;
    }
  }
  return values;
}

/** The names an instruction of a stage can use: its ARGs and its environment, which wins. */
export class StageScope {
  readonly #global: Variables;
  readonly #buildArgs: BuildArgs;
  readonly #options: ExpandOptions;
  readonly #args = new Map<string, string | undefined>();
  readonly #env = new Map<string, string>();
  /** Names given by the caller that some ARG declared. */
  readonly declared = new Set<string>();

  constructor(global: Variables, buildArgs: BuildArgs, options: ExpandOptions) {
    this.#global = global;
    this.#buildArgs = buildArgs;
    this.#options = options;
  }

  /** A stage that goes on from this one: it sees the same ARGs. */
  child(): StageScope {
    const child = new StageScope(this.#global, this.#buildArgs, this.#options);
    for (const [name, value] of this.#args) child.#args.set(name, value);
    return child;
  }

  /** Takes over an image's environment. */
  inherit(env: readonly string[]): void {
    for (const entry of env) {
      const at = entry.indexOf('=');
      this.#env.set(at < 0 ? entry : entry.slice(0, at), at < 0 ? '' : entry.slice(at + 1));
    }
  }

  /** ARG: each argument of one line sees those before it. */
  declare(instruction: ArgInstruction): void {
    for (const arg of instruction.args) {
      const name = this.expand(arg.name);
      const fallback = arg.value === undefined ? this.#global[name] : this.expand(arg.value);
      this.#args.set(name, given(this.#buildArgs, name) ?? fallback);
      this.declared.add(name);
    }
  }

  /** ENV: all pairs of one line see what was before the line. Returns them expanded. */
  assign(instruction: EnvInstruction): readonly KeyValue[] {
    const variables = this.variables;
    const pairs = instruction.pairs.map(({ key, value }) => ({
      key: expandWord(key, variables, this.#options).text,
      value: expandWord(value, variables, this.#options).text,
    }));
    for (const { key, value } of pairs) this.#env.set(key, value);
    return pairs;
  }

  /** Everything a `$name` can stand for. */
  get variables(): Variables {
    const values: Record<string, string> = {};
    for (const [name, value] of this.#args) if (value !== undefined) values[name] = value;
    for (const [name, value] of this.#env) values[name] = value;
    return values;
  }

  /** The environment as the image keeps it. */
  get env(): readonly string[] {
    return [...this.#env].map(([name, value]) => `${name}=${value}`);
  }

  /** `NAME=value` of the ARGs a RUN sees, sorted; those that an ENV hides are left out. */
  get runArgs(): readonly string[] {
    return [...this.#args]
      .filter(([name, value]) => value !== undefined && !this.#env.has(name))
      .map(([name, value]) => `${name}=${value}`)
      .sort();
  }

  /** `NAME=value` of the proxy arguments the caller gave and no ARG declared. */
  get proxyEnv(): readonly string[] {
    return Object.entries(this.#buildArgs)
      .filter(([name, value]) => value !== null && proxyArgs.has(name) && !this.#args.has(name))
      .map(([name, value]) => `${name}=${value}`);
  }

  expand(word: string, options: ExpandOptions = {}): string {
    return expandWord(word, this.variables, { ...this.#options, ...options }).text;
  }

  /** Expands, then splits at white space. */
  expandWords(word: string): readonly string[] {
    return expandWord(word, this.variables, this.#options).words;
  }
}
