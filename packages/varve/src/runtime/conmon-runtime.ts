import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { KeyedLock, VarveError } from '../base/index.ts';
import { cgroupProcesses, connectSeqpacket, findProgram, readCgroupLayout } from '../linux/index.ts';
import { ConmonLauncher, resizeTerminal } from './conmon.ts';
import { type ContainerRecord, readRecord } from './container-record.ts';
import { type RuntimeContext, validId } from './context.ts';
import { createContainer } from './create.ts';
import { createError } from './errors.ts';
import { startExec } from './exec.ts';
import { ExitWatcher, readExit } from './exits.ts';
import { Layout } from './layout.ts';
import { LogRotator } from './log-rotation.ts';
import { queryLogs } from './logs.ts';
import { checkSupervisor, type RecoveredContainer, recoverContainers } from './recovery.ts';
import { removeContainer } from './removal.ts';
import { chooseRuntime, RuntimeProgram } from './runtime-program.ts';
import { buildResources } from './spec/resources.ts';
import { sampleStats } from './stats.ts';
import { type AttachLimits, SocketStreams } from './streams.ts';
import type {
  AttachedStreams,
  ContainerExit,
  ContainerRuntime,
  ContainerSpec,
  ExecSpec,
  LogLine,
  LogQuery,
  Resources,
  RunningContainer,
  RunningExec,
} from './types.ts';

/** Settings of a {@link ConmonRuntime}; programs are found in the system's folders when not given. */
export interface ConmonRuntimeOptions {
  /** Folder for what is lost at reboot, such as `/run/varve/runtime`. Keep it short: sockets lie below it. */
  readonly stateRoot: string;
  /** Logs go to `<logRoot>/<id>/container.log`. */
  readonly logRoot: string;
  /** Control group above the containers' own. Default `/varve`. */
  readonly cgroupParent?: string;
  readonly conmon?: string;
  /** Name or path of an OCI runtime; otherwise crun or runc by probe. */
  readonly runtime?: string;
  /** The program for `--init`. Default Debian's `/usr/bin/tini-static`. */
  readonly tini?: string;
  /** A log is rotated at this size; default 10 MB. */
  readonly logMaxBytes?: number;
  /** Files a log may have, the present one counted; default 5. */
  readonly logMaxFiles?: number;
  /** Output that waits in memory for one attached reader; default 1 MiB. */
  readonly attachBufferBytes?: number;
  /** How long a reader may stand still with a full buffer; default 5 s. */
  readonly attachStallMs?: number;
}

type State = { readonly status: 'created' | 'running' | 'paused' | 'stopped'; readonly pid: number };

/** Containers under one conmon each: they, their logs and their exit codes outlive the daemon. */
export class ConmonRuntime implements ContainerRuntime {
  /** `runc` or `crun`. */
  readonly name: string;
  readonly #context: RuntimeContext;
  readonly #tini: string;
  readonly #limits: AttachLimits;
  readonly #rotator: LogRotator;
  readonly #locks = new KeyedLock();

  /** @throws VarveError when conmon or every OCI runtime is missing. */
  constructor(options: ConmonRuntimeOptions) {
    const layout = new Layout(options.stateRoot, options.logRoot);
    const cgroups = readCgroupLayout();
    const cgroupParent = options.cgroupParent ?? '/varve';
    const choice = chooseRuntime(cgroups, options.runtime);
    const program = new RuntimeProgram(choice, layout.runtimeRoot);
    const conmon = findProgram(options.conmon ?? 'conmon');
    this.name = choice.name;
    this.#tini = options.tini ?? '/usr/bin/tini-static';
    for (const folder of [layout.bundles, layout.sessions, layout.exits, layout.runtimeRoot]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
    this.#context = {
      layout,
      cgroups,
      cgroupParent,
      program,
      launcher: new ConmonLauncher(conmon, program, cgroups, `${cgroupParent}/conmon`),
      exits: new ExitWatcher(layout, (id) => this.#locks.run(id, () => checkSupervisor(this.#context, id))),
    };
    this.#limits = {
      bufferBytes: options.attachBufferBytes ?? 1024 * 1024,
      stallMs: options.attachStallMs ?? 5000,
    };
    this.#rotator = new LogRotator(layout, {
      maxBytes: options.logMaxBytes ?? 10_000_000,
      maxFiles: options.logMaxFiles ?? 5,
    });
  }

  async version(): Promise<string> {
    return await this.#context.program.version();
  }

  /**
   * Adopts what an earlier daemon left; call it once at start, before anything else. Containers that were created and
   * never started are removed.
   */
  async recover(): Promise<readonly RecoveredContainer[]> {
    return await recoverContainers(this.#context, await this.list());
  }

  async create(spec: ContainerSpec): Promise<RunningContainer> {
    return await this.#locks.run(spec.id, () =>
      createContainer(this.#context, spec, { tini: this.#tini, swapAccounting: this.#swapAccounting() }),
    );
  }

  async attach(id: string): Promise<AttachedStreams> {
    const record = this.#record(id);
    // conmon listens for some milliseconds more, and would let us wait for its end.
    if (this.#isOver(id)) throw this.#notRunning(id);
    const path = join(this.#context.layout.bundle(id), 'attach');
    const socket = await connectSeqpacket(path).catch((error: unknown) => {
      throw this.#notRunning(id, error);
    });
    return new SocketStreams(socket, { stdin: record.openStdin, limits: this.#limits });
  }

  async start(id: string): Promise<void> {
    await this.#locks.run(id, async () => {
      const result = await this.#context.program.call(['start', id]);
      if (result.code !== 0) throw createError(id, result.stderr.toString());
    });
  }

  /** @throws VarveError `conflict` when it does not run. */
  async kill(id: string, signal: number): Promise<void> {
    await this.#context.program.must('kill', id, { after: [String(signal)] }).catch((error: unknown) => {
      throw this.#isOver(id) ? this.#notRunning(id, error) : error;
    });
  }

  async pause(id: string): Promise<void> {
    await this.#context.program.must('pause', id);
  }

  async resume(id: string): Promise<void> {
    await this.#context.program.must('resume', id);
  }

  async update(id: string, resources: Resources): Promise<void> {
    const wanted = buildResources(resources, { swapAccounting: this.#swapAccounting() });
    await this.#context.program.must('update', id, {
      before: ['--resources', '-'],
      input: JSON.stringify(wanted),
    });
  }

  async resize(id: string, rows: number, columns: number): Promise<void> {
    this.#record(id);
    await resizeTerminal(this.#context.layout.bundle(id), rows, columns);
  }

  async exec(id: string, execId: string, spec: ExecSpec): Promise<RunningExec> {
    if (!validId.test(execId)) {
      throw new VarveError('invalid', 'INVALID_ID', `invalid exec id "${execId}"`, { subject: execId });
    }
    this.#record(id);
    if (this.#isOver(id)) throw this.#notRunning(id);
    const { layout, launcher } = this.#context;
    return await startExec({ layout, launcher, bufferBytes: this.#limits.bufferBytes }, id, execId, spec);
  }

  async wait(id: string): Promise<ContainerExit> {
    this.#record(id);
    return await this.#context.exits.wait(id);
  }

  async inspect(id: string): Promise<State | undefined> {
    const state = await this.#context.program.state(id);
    if (state !== undefined) return state;
    return existsSync(this.#context.layout.bundle(id)) ? { status: 'stopped', pid: 0 } : undefined;
  }

  async list(): Promise<readonly string[]> {
    const { layout } = this.#context;
    const names = [layout.bundles, layout.runtimeRoot].flatMap((folder) => readdirSync(folder));
    return [...new Set(names)].filter((name) => validId.test(name)).sort();
  }

  async delete(id: string): Promise<void> {
    await this.#locks.run(id, () => removeContainer(this.#context, id));
  }

  logs(id: string, query: LogQuery): AsyncIterable<LogLine> {
    return queryLogs(
      {
        path: this.#context.layout.log(id),
        finished: () => this.#isOver(id),
        whenFinished: (signal) => this.#context.exits.wait(id, signal),
      },
      query,
    );
  }

  async processes(id: string): Promise<readonly number[]> {
    return cgroupProcesses(this.#context.cgroups, this.#record(id).cgroupPath);
  }

  async stats(id: string): Promise<Readonly<Record<string, unknown>>> {
    return sampleStats(this.#context.cgroups, this.#record(id));
  }

  /** Stops watching; the containers run on. */
  async close(): Promise<void> {
    this.#rotator.close();
    this.#context.exits.close();
  }

  #record(id: string): ContainerRecord {
    return readRecord(this.#context.layout.bundle(id), id);
  }

  /** True when it has ended or is unknown: nothing will be written any more. */
  #isOver(id: string): boolean {
    const { layout } = this.#context;
    return !existsSync(layout.bundle(id)) || readExit(layout, id) !== undefined;
  }

  #notRunning(id: string, cause?: unknown): VarveError {
    return new VarveError('conflict', 'NOT_RUNNING', `container ${id} is not running`, {
      subject: id,
      cause,
    });
  }

  #swapAccounting(): boolean {
    const { cgroups } = this.#context;
    if (cgroups.version === 2) return true;
    const memory = cgroups.controllers.get('memory');
    return memory !== undefined && existsSync(join(memory, 'memory.memsw.limit_in_bytes'));
  }
}
