import { closeSync, constants, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyedLock, VarveError } from '../base/index.ts';
import {
  type CgroupLayout,
  identifyProcess,
  joinCgroup,
  type ProcessIdentity,
  spawn,
} from '../linux/index.ts';
import type { RuntimeProgram } from './runtime-program.ts';
import { SyncPipe } from './sync-pipe.ts';

/** What one conmon watches over. */
export interface ConmonOptions {
  readonly containerId: string;
  /** Unique among containers and execs. */
  readonly uuid: string;
  readonly name: string;
  /** Folder of its sockets and files, also its working folder (conmon writes `oom` there). */
  readonly bundle: string;
  readonly exitDir: string;
  readonly logPath: string | undefined;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly leaveStdinOpen: boolean;
  /** Present for an exec: the file with its process. */
  readonly execProcess?: string;
}

/** A conmon that has been started and waits for its `go`. */
export interface StartedConmon {
  readonly sync: SyncPipe;
  /** For an exec: says when its attach socket listens. */
  readonly attachReady: SyncPipe | undefined;
  /** Lets conmon take its next step: first the fork, then (exec only, once attached) the runtime. */
  go(): void;
  close(): void;
}

/** Starts conmon and holds it before its first step, so that it is moved to its own control group in time. */
export class ConmonLauncher {
  readonly #path: string;
  readonly #runtime: RuntimeProgram;
  readonly #cgroups: CgroupLayout;
  readonly #cgroup: string;

  constructor(path: string, runtime: RuntimeProgram, cgroups: CgroupLayout, cgroup: string) {
    this.#path = path;
    this.#runtime = runtime;
    this.#cgroups = cgroups;
    this.#cgroup = cgroup;
  }

  /** Starts conmon; it waits. Otherwise a kill of the daemon's group, or its memory limit, would hit all containers. */
  start(options: ConmonOptions): StartedConmon {
    const { bundle } = options;
    const exec = options.execProcess !== undefined;
    mkdirSync(options.exitDir, { recursive: true, mode: 0o700 });
    // A file, not a pipe: a full pipe would block conmon, and with it the container.
    const errors = openSync(
      join(bundle, 'conmon.err'),
      constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
      0o600,
    );
    try {
      const child = spawn(this.#path, this.#arguments(options), {
        cwd: bundle,
        env: {
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
          // Log times are local times; with UTC they need no conversion.
          TZ: 'UTC',
          _OCI_SYNCPIPE: '3',
          _OCI_STARTPIPE: '4',
          ...(exec ? { _OCI_ATTACHPIPE: '5' } : {}),
        },
        stdio: ['null', errors, errors, 'output', 'input', ...(exec ? (['output'] as const) : [])],
      });
      joinCgroup(this.#cgroups, this.#cgroup, child.pid);
      const start = child.pipes[4] as Socket;
      start.on('error', () => undefined);
      const sync = new SyncPipe(child.pipes[3] as Socket);
      const ready = child.pipes[5];
      const attachReady = ready === undefined ? undefined : new SyncPipe(ready);
      return {
        sync,
        attachReady,
        go: () => {
          start.write('\0');
        },
        close: () => {
          start.destroy();
          sync.close();
          attachReady?.close();
        },
      };
    } finally {
      closeSync(errors);
    }
  }

  #arguments(options: ConmonOptions): string[] {
    const { bundle } = options;
    const valued: readonly (readonly [string, string])[] = [
      ['--api-version', '1'],
      ['--cid', options.containerId],
      ['--cuuid', options.uuid],
      ['--name', options.name],
      ['--runtime', this.#runtime.choice.path],
      ...this.#runtime.globalArguments.map((argument) => ['--runtime-arg', argument] as const),
      // With a log file the runtime's stderr, which conmon passes on, is the plain reason.
      ['--runtime-arg', `--log=${join(bundle, 'runtime.log')}`],
      ['--runtime-arg', '--log-format=json'],
      ['--bundle', bundle],
      ['--container-pidfile', join(bundle, 'pidfile')],
      ['--conmon-pidfile', join(bundle, 'conmon.pid')],
      ['--exit-dir', options.exitDir],
      ['--persist-dir', join(bundle, 'persist')],
      ['--log-path', options.logPath === undefined ? 'none' : `k8s-file:${options.logPath}`],
      // Warnings come one a line of output when the disk is full; they would fill the state folder, which is memory.
      ['--log-level', 'error'],
      ...(options.execProcess === undefined ? [] : [['--exec-process-spec', options.execProcess] as const]),
    ];
    const flags: readonly (readonly [string, boolean])[] = [
      ['--full-attach', true],
      // An fsync at every exit costs more than a container's life; Docker does without.
      ['--no-sync-log', true],
      ['--terminal', options.tty],
      ['--stdin', options.stdin],
      ['--leave-stdin-open', options.leaveStdinOpen],
      ['--exec', options.execProcess !== undefined],
      ['--exec-attach', options.execProcess !== undefined],
    ];
    return [...valued.flat(), ...flags.flatMap(([flag, on]) => (on ? [flag] : []))];
  }
}

/** What conmon or the runtime complained of, for an error's text. */
export function conmonComplaint(bundle: string): string {
  try {
    return readFileSync(join(bundle, 'conmon.err'), 'utf8').slice(-4096).trim();
  } catch {
    return '';
  }
}

/** The live conmon of a bundle; undefined when it has ended. Its pid file alone is no proof: the pid may be another's by now. */
export function findConmon(bundle: string, uuid: string): ProcessIdentity | undefined {
  try {
    const pid = Number(readFileSync(join(bundle, 'conmon.pid'), 'utf8'));
    const identity = identifyProcess(pid);
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return command.includes(uuid) ? identity : undefined;
  } catch {
    return undefined;
  }
}

const controls = new KeyedLock();

// conmon 2.1.6 reads all that waits in its FIFO and obeys the first line only; messages must arrive one by one.
const CONTROL_GAP_MS = 40;

async function control(bundle: string, message: string): Promise<void> {
  await controls.run(bundle, async () => {
    let fd: number;
    try {
      fd = openSync(join(bundle, 'ctl'), constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw new VarveError('conflict', 'CONMON_GONE', `the supervisor of ${bundle} is gone`, {
        cause: error,
      });
    }
    try {
      writeSync(fd, message);
    } finally {
      closeSync(fd);
    }
    await sleep(CONTROL_GAP_MS);
  });
}

/** Sets the size of the terminal that conmon holds. */
export async function resizeTerminal(bundle: string, rows: number, columns: number): Promise<void> {
  await control(bundle, `1 ${rows} ${columns}\n`);
}

/** Makes conmon close its log and open it anew by name, after it was renamed. */
export async function reopenLog(bundle: string): Promise<void> {
  await control(bundle, '2 0 0\n');
}
