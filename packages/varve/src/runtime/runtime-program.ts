import { type ErrorKind, VarveError } from '../base/index.ts';
import { type CgroupLayout, findProgram, ownCapabilities, type RunResult, run } from '../linux/index.ts';
import { runtimeReason } from './errors.ts';

/** Which OCI runtime is used, and the reason for it. */
export interface RuntimeChoice {
  readonly name: string;
  readonly path: string;
  readonly why: string;
}

function tryFind(name: string): string | undefined {
  try {
    return findProgram(name);
  } catch {
    return undefined;
  }
}

/** Why crun cannot run here; undefined when it can. It is preferred: it needs two thirds of runc's time and processor. */
function crunObstacle(cgroups: CgroupLayout): string | undefined {
  if (cgroups.version === 1 && cgroups.unifiedControllers.length > 0) {
    return `crun refuses hybrid control groups (${cgroups.unifiedControllers.join(' ')} on version 2)`;
  }
  if (cgroups.version === 2 && !ownCapabilities('effective').includes('CAP_SYS_RESOURCE')) {
    return 'crun needs CAP_SYS_RESOURCE for its device filter';
  }
  return undefined;
}

/**
 * Chooses between crun and runc by what is installed and what can work here.
 * @throws VarveError `unavailable` when neither can.
 */
export function chooseRuntime(cgroups: CgroupLayout, wanted?: string): RuntimeChoice {
  if (wanted !== undefined) {
    const path = findProgram(wanted);
    return { name: path.slice(path.lastIndexOf('/') + 1), path, why: 'configured' };
  }
  const crun = tryFind('crun');
  const runc = tryFind('runc');
  const obstacle = crunObstacle(cgroups);
  if (crun !== undefined && obstacle === undefined)
    return { name: 'crun', path: crun, why: 'faster than runc' };
  if (runc !== undefined) return { name: 'runc', path: runc, why: obstacle ?? 'crun is not installed' };
  throw new VarveError(
    'unavailable',
    'NO_RUNTIME',
    `no OCI runtime can run here: ${obstacle ?? 'none installed'}`,
    {
      hint: 'install the Debian package runc or crun',
    },
  );
}

function failureKind(reason: string): ErrorKind {
  if (reason.includes('does not exist')) return 'not-found';
  return /not running|already finished|no such process/i.test(reason) ? 'conflict' : 'internal';
}

/** Calls of one OCI runtime program with its state folder. */
export class RuntimeProgram {
  readonly choice: RuntimeChoice;
  readonly #root: string;

  constructor(choice: RuntimeChoice, root: string) {
    this.choice = choice;
    this.#root = root;
  }

  /** Arguments that conmon passes on before the command. */
  get globalArguments(): readonly string[] {
    return ['--root', this.#root];
  }

  /** Runs a command of the runtime; a non-zero exit is in the result. */
  async call(args: readonly string[], input?: string): Promise<RunResult> {
    return await run(this.choice.path, [...this.globalArguments, ...args], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      ...(input === undefined ? {} : { input }),
    });
  }

  /**
   * Runs a command that must succeed.
   * @throws VarveError `not-found` when the runtime knows no such container, `conflict` when its process has ended (its
   * exit may not be known here yet), else `internal`.
   */
  async must(
    command: string,
    id: string,
    options: {
      readonly before?: readonly string[];
      readonly after?: readonly string[];
      readonly input?: string;
    } = {},
  ): Promise<void> {
    const args = [command, ...(options.before ?? []), id, ...(options.after ?? [])];
    const result = await this.call(args, options.input);
    if (result.code === 0) return;
    const reason = runtimeReason(result.stderr.toString());
    throw new VarveError(
      failureKind(reason),
      'RUNTIME_FAILED',
      `${this.choice.name} ${command} failed: ${reason}`,
      { subject: id },
    );
  }

  /** First line of `--version`, with the reason of the choice. */
  async version(): Promise<string> {
    const { stdout } = await run(this.choice.path, ['--version']);
    return `${stdout.toString().split('\n')[0] ?? this.choice.name} (${this.choice.why})`;
  }

  /** `state`: undefined when the runtime knows nothing of the container. */
  async state(
    id: string,
  ): Promise<
    { readonly status: 'created' | 'running' | 'paused' | 'stopped'; readonly pid: number } | undefined
  > {
    const result = await this.call(['state', id]);
    if (result.code !== 0) {
      const reason = runtimeReason(result.stderr.toString());
      if (/does not exist|no such file/i.test(reason)) return undefined;
      throw new VarveError('internal', 'RUNTIME_FAILED', `${this.choice.name} state failed: ${reason}`, {
        subject: id,
      });
    }
    const state = JSON.parse(result.stdout.toString()) as { status: string; pid: number };
    const { status, pid } = state;
    if (status === 'created' || status === 'running' || status === 'paused') return { status, pid };
    return { status: 'stopped', pid: 0 };
  }
}
