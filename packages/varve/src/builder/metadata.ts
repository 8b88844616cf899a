import { constants } from 'node:os';
import { posix } from 'node:path';
import { VarveError } from '../base/index.ts';
import type { CommandLine, HealthcheckInstruction, Instruction, StageScope } from '../dockerfile/index.ts';
import type { ContainerConfig, Healthcheck } from '../oci/index.ts';

/** What an instruction without a layer makes of the image's configuration. */
export interface MetadataChange {
  readonly config: ContainerConfig;
  /** `created_by` behind `#(nop) `, in the classic builder's form. */
  readonly comment: string;
  readonly author?: string;
  /** CMD was set in this stage, so that ENTRYPOINT leaves it. */
  readonly setsCommand?: boolean;
}

export interface MetadataState {
  readonly config: ContainerConfig;
  readonly scope: StageScope;
  readonly commandSet: boolean;
}

/** What a shell form is run with when the image has no SHELL. */
export const defaultShell: readonly string[] = ['/bin/sh', '-c'];
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A list as Go's `%q` prints it: `["a" "b"]`. */
function quoteList(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(' ')}]`;
}

/** The argument vector of CMD, ENTRYPOINT and RUN. */
export function commandArgs(command: CommandLine, config: ContainerConfig): readonly string[] {
  return command.form === 'exec' ? command.args : [...(config.Shell ?? defaultShell), command.text];
}

/** `created_by` of an instruction without a command: `/bin/sh -c #(nop)  CMD ["a"]`. */
export function nopText(config: ContainerConfig, comment: string): string {
  return `${(config.Shell ?? defaultShell).join(' ')} #(nop) ${comment}`;
}

/** The working folder after `WORKDIR path`. */
export function joinWorkdir(current: string | undefined, path: string): string {
  return posix.resolve('/', current ?? '/', path);
}

/**
 * Ports of EXPOSE as the config keeps them: `80` is `80/tcp`, `8000-8002/udp` is three.
 * @throws VarveError `invalid` in Docker's words.
 */
export function exposedPorts(spec: string): readonly string[] {
  const [ports = '', protocol = 'tcp', ...more] = spec.split('/');
  const bad = (): VarveError =>
    new VarveError('invalid', 'INVALID_PORT', `invalid containerPort: ${spec}`, { subject: spec });
  if (!/^(?:tcp|udp|sctp)$/i.test(protocol) || more.length > 0) {
    throw new VarveError('invalid', 'INVALID_PORT', `invalid proto: ${protocol}`, { subject: spec });
  }
  // `ip:host:container` is taken and all but the container's port ignored, as Docker does.
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports.slice(ports.lastIndexOf(':') + 1));
  if (!match) throw bad();
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (last > 65_535 || last < first) throw bad();
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol.toLowerCase()}`);
}

function checkSignal(signal: string): void {
  const name = signal.toUpperCase().replace(/^(?!SIG)/, 'SIG');
  const known =
    /^(?:[1-9]|[1-5]\d|6[0-4])$/.test(signal) ||
    name in constants.signals ||
    /^SIGRTM(?:IN(?:\+\d{1,2})?|AX(?:-\d{1,2})?)$/.test(name);
  if (!known) {
    throw new VarveError('invalid', 'INVALID_SIGNAL', `Invalid signal: ${signal}`, { subject: signal });
  }
}

function healthcheck(instruction: HealthcheckInstruction): Healthcheck {
  const { command, interval, timeout, startPeriod, startInterval, retries } = instruction;
  if (!command) return { Test: ['NONE'] };
  return {
    Test: command.form === 'exec' ? ['CMD', ...command.args] : ['CMD-SHELL', command.text],
    ...(interval === undefined ? {} : { Interval: interval }),
    ...(timeout === undefined ? {} : { Timeout: timeout }),
    ...(startPeriod === undefined ? {} : { StartPeriod: startPeriod }),
    ...(startInterval === undefined ? {} : { StartInterval: startInterval }),
    ...(retries === undefined ? {} : { Retries: retries }),
  };
}

/** A duration as Go prints it: `5m0s`, `300ms`. */
function goDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const seconds = nanoseconds / 1e9;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = `${Number((seconds % 60).toFixed(9))}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}

function healthcheckText(check: Healthcheck): string {
  const times = [check.Interval, check.Timeout, check.StartPeriod, check.StartInterval]
    .map((time) => JSON.stringify(goDuration(time ?? 0)))
    .join(' ');
  const retries = (check.Retries ?? 0).toString(16).padStart(2, '0');
  return `&{${quoteList(check.Test ?? [])} ${times} '\\x${retries}'}`;
}

function without(config: ContainerConfig, key: keyof ContainerConfig): ContainerConfig {
  const { [key]: _dropped, ...rest } = config;
  return rest;
}

/** The instruction's words with variables expanded, for lists whose items may split (EXPOSE) or not (VOLUME). */
function keys(names: readonly string[]): Readonly<Record<string, Record<string, never>>> {
  return Object.fromEntries(names.map((name) => [name, {}]));
}

/**
 * Applies an instruction that makes no layer. Pure, but for the stage's scope, which takes ARG and ENV in.
 * @returns undefined for RUN, COPY, ADD and WORKDIR, which touch files.
 * @throws VarveError `invalid` in Docker's words.
 */
export function applyMetadata(state: MetadataState, instruction: Instruction): MetadataChange | undefined {
  const { config, scope } = state;
  switch (instruction.kind) {
    case 'ARG': {
      scope.declare(instruction);
      const words = instruction.args.map(({ name, value }) =>
        value === undefined ? name : `${name}=${value}`,
      );
      return { config, comment: ` ARG ${words.join(' ')}` };
    }
    case 'ENV': {
      const pairs = scope.assign(instruction);
      const comment = ` ENV ${pairs.map(({ key, value }) => `${key}=${value}`).join(' ')}`;
      return { config: { ...config, Env: scope.env }, comment };
    }
    case 'LABEL': {
      const pairs = instruction.pairs.map(
        ({ key, value }) => [scope.expand(key), scope.expand(value)] as const,
      );
      const comment = ` LABEL ${pairs.map(([key, value]) => `${key}=${value}`).join(' ')}`;
      return { config: { ...config, Labels: { ...config.Labels, ...Object.fromEntries(pairs) } }, comment };
    }
    case 'MAINTAINER':
      return { config, comment: ` MAINTAINER ${instruction.name}`, author: instruction.name };
    case 'USER': {
      const user = scope.expand(instruction.user);
      return { config: { ...config, User: user }, comment: ` USER ${user}` };
    }
    case 'VOLUME': {
      const paths = instruction.paths.map((path) => scope.expand(path));
      if (paths.some((path) => path === '')) {
        throw new VarveError('invalid', 'INVALID_VOLUME', 'VOLUME specified can not be an empty string');
      }
      return {
        config: { ...config, Volumes: { ...config.Volumes, ...keys(paths) } },
        comment: ` VOLUME [${paths.join(' ')}]`,
      };
    }
    case 'EXPOSE': {
      const words = instruction.ports.flatMap((port) => scope.expandWords(port)).sort();
      const ports = words.flatMap((word) => exposedPorts(word));
      return {
        config: { ...config, ExposedPorts: { ...config.ExposedPorts, ...keys(ports) } },
        comment: ` EXPOSE ${words.join(' ')}`,
      };
    }
    case 'STOPSIGNAL': {
      const signal = scope.expand(instruction.signal);
      checkSignal(signal);
      return { config: { ...config, StopSignal: signal }, comment: ` STOPSIGNAL ${signal}` };
    }
    case 'SHELL':
      return {
        config: { ...config, Shell: instruction.shell },
        comment: ` SHELL [${instruction.shell.join(' ')}]`,
      };
    case 'CMD': {
      const args = commandArgs(instruction.command, config);
      return { config: { ...config, Cmd: args }, comment: ` CMD ${quoteList(args)}`, setsCommand: true };
    }
    case 'ENTRYPOINT': {
      const args = commandArgs(instruction.command, config);
      // A command that came with the base image was meant for its entry point.
      const rest = state.commandSet ? config : without(config, 'Cmd');
      return { config: { ...rest, Entrypoint: args }, comment: ` ENTRYPOINT ${quoteList(args)}` };
    }
    case 'HEALTHCHECK': {
      const Healthcheck = healthcheck(instruction);
      return { config: { ...config, Healthcheck }, comment: ` HEALTHCHECK ${healthcheckText(Healthcheck)}` };
    }
    case 'ONBUILD':
      return {
        config: { ...config, OnBuild: [...(config.OnBuild ?? []), instruction.trigger] },
        comment: ` ONBUILD ${instruction.trigger}`,
      };
    case 'RUN':
    case 'COPY':
    case 'ADD':
    case 'WORKDIR':
      return undefined;
  }
}
