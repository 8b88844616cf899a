import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyedLock, VarveError } from '../base/index.ts';
import {
  type CgroupLayout,
  cgroupProcesses,
  connectSeqpacket,
  findProgram,
  isAlive,
  readCgroupLayout,
  removeCgroup,
  sendSignal,
} from '../linux/index.ts';
import { ConmonLauncher, conmonComplaint, findConmon, resizeTerminal } from './conmon.ts';
import { type ContainerRecord, readRecord, writeRecord } from './container-record.ts';
import { createError } from './errors.ts';
import { ExitWatcher, lostFile, readExit } from './exits.ts';
import { Layout } from './layout.ts';
import { queryLogs } from './logs.ts';
import { chooseRuntime, RuntimeProgram } from './runtime-program.ts';
import { buildSpec } from './spec/build-spec.ts';
import { encodeSpec } from './spec/encode.ts';
import { buildResources } from './spec/resources.ts';
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
  /** Folder for what is lost at reboot, such as `/run/varve`. Keep it short: sockets lie below it. */
  readonly stateRoot: string;
  /** Logs go to `<logRoot>/<id>/container.log`. */
  readonly logRoot: string;
  /** Control group above the containers' own. Default `/varve`. */
  readonly cgroupParent?: string;
  readonly conmon?: string;
  /** Name or path of an OCI runtime; otherwise crun or runc by probe. */
  readonly runtime?: string;
  readonly tini?: string;
  /** Output that waits for one attached reader. Default 1 MiB, and 5 s of standing still. */
  readonly attachBufferBytes?: number;
  readonly attachStallMs?: number;
}

const DEFAULT_BUFFER_BYTES = 1024 * 1024;
const DEFAULT_STALL_MS = 5000;
// conmon ends some milliseconds after its container; under load a good deal later.
const CONMON_END_MS = 10_000;
const KILLED = 137;
const SIGKILL = 9;

const validId = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** Containers under one conmon each: they, their logs and their exit codes outlive the daemon. */
export class ConmonRuntime implements ContainerRuntime {
  readonly name: string;
  readonly #layout: Layout;
  readonly #cgroups: CgroupLayout;
  readonly #cgroupParent: string;
  readonly #tini: string;
  readonly #runtime: RuntimeProgram;
  readonly #launcher: ConmonLauncher;
  readonly #exits: ExitWatcher;
  readonly #limits: AttachLimits;
  readonly #locks = new KeyedLock();

  constructor(options: ConmonRuntimeOptions) {
    this.#layout = new Layout(options.stateRoot, options.logRoot);
    this.#cgroups = readCgroupLayout();
    this.#cgroupParent = options.cgroupParent ?? '/varve';
    this.#tini = options.tini ?? '/usr/bin/tini-static';
    const choice = chooseRuntime(this.#cgroups, options.runtime);
    this.name = choice.name;
    this.#runtime = new RuntimeProgram(choice, this.#layout.runtimeRoot);
    this.#launcher = new ConmonLauncher(
      findProgram(options.conmon ?? 'conmon'),
      this.#runtime,
      this.#cgroups,
      `${this.#cgroupParent}/conmon`,
    );
    this.#exits = new ExitWatcher(this.#layout, (id) => this.#checkSupervisor(id));
    this.#limits = {
      bufferBytes: options.attachBufferBytes ?? DEFAULT_BUFFER_BYTES,
      stallMs: options.attachStallMs ?? DEFAULT_STALL_MS,
    };
    for (const folder of [
      this.#layout.bundles,
      this.#layout.sessions,
      this.#layout.exits,
      this.#layout.runtimeRoot,
    ]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
  }

  async version(): Promise<string> {
    return await this.#runtime.version();
  }

  async create(spec: ContainerSpec): Promise<RunningContainer> {
    const { id } = spec;
    if (!validId.test(id)) {
      throw new VarveError('invalid', 'INVALID_ID', `invalid container id "${id}"`, { subject: id });
    }
    return await this.#locks.run(id, async () => {
      const bundle = this.#layout.bundle(id);
      if (existsSync(bundle)) {
        throw new VarveError('conflict', 'CONTAINER_EXISTS', `container "${id}" exists in the runtime`, {
          subject: id,
          hint: 'delete it first',
        });
      }
      const cgroupPath = `${spec.cgroupParent ?? this.#cgroupParent}/${id}`;
      const oci = buildSpec(spec, {
        cgroups: this.#cgroups,
        cgroupPath,
        tini: this.#tini,
        swapAccounting: this.#swapAccounting(),
      });
      try {
        mkdirSync(join(bundle, 'persist'), { recursive: true, mode: 0o700 });
        mkdirSync(dirname(this.#layout.log(id)), { recursive: true, mode: 0o700 });
        writeFileSync(join(bundle, 'config.json'), encodeSpec(oci), { mode: 0o600 });
        writeRecord(bundle, { id, name: spec.name, tty: spec.tty, openStdin: spec.openStdin, cgroupPath });
        return { id, pid: await this.#launch(spec, bundle) };
      } catch (error) {
        await this.#destroy(id);
        throw error;
      }
    });
  }

  async #launch(spec: ContainerSpec, bundle: string): Promise<number> {
    const { id } = spec;
    const conmon = this.#launcher.start({
      containerId: id,
      uuid: id,
      name: spec.name === '' ? id : spec.name,
      bundle,
      exitDir: this.#layout.exits,
      logPath: this.#layout.log(id),
      tty: spec.tty,
      stdin: spec.openStdin,
      // Without it conmon closes stdin when the last client goes (StdinOnce); with it, when the container ends.
      leaveStdinOpen: spec.tty || (spec.openStdin && !spec.stdinOnce),
    });
    try {
      conmon.go();
      const answer = await conmon.sync.next();
      if (answer !== undefined && answer.data > 0) return answer.data;
      throw createError(id, answer?.message ?? conmonComplaint(bundle));
    } finally {
      conmon.close();
    }
  }

  async attach(id: string): Promise<AttachedStreams> {
    const bundle = this.#layout.bundle(id);
    const record = readRecord(bundle, id);
    const socket = await connectSeqpacket(join(bundle, 'attach')).catch((error: unknown) => {
      throw new VarveError('conflict', 'NOT_RUNNING', `container ${id} is not running`, {
        subject: id,
        cause: error,
      });
    });
    return new SocketStreams(socket, { stdin: record.openStdin, limits: this.#limits });
  }

  async start(id: string): Promise<void> {
    await this.#locks.run(id, async () => {
      const result = await this.#runtime.call(['start', id]);
      if (result.code !== 0) throw createError(id, result.stderr.toString());
    });
  }

  async kill(id: string, signal: number): Promise<void> {
    await this.#runtime.must('kill', id, { after: [String(signal)] });
  }

  async pause(id: string): Promise<void> {
    await this.#runtime.must('pause', id);
  }

  async resume(id: string): Promise<void> {
    await this.#runtime.must('resume', id);
  }

  async update(id: string, resources: Resources): Promise<void> {
    const wanted = buildResources(resources, { swapAccounting: this.#swapAccounting() });
    await this.#runtime.must('update', id, { before: ['--resources', '-'], input: JSON.stringify(wanted) });
  }

  async resize(id: string, rows: number, columns: number): Promise<void> {
    const bundle = this.#layout.bundle(id);
    readRecord(bundle, id);
    await resizeTerminal(bundle, rows, columns);
  }

  async exec(id: string, execId: string, spec: ExecSpec): Promise<RunningExec> {
    throw new VarveError('not-implemented', 'X', `${id} ${execId} ${spec.user}`);
  }

  async wait(id: string): Promise<ContainerExit> {
    readRecord(this.#layout.bundle(id), id);
    return await this.#exits.wait(id);
  }

  async inspect(
    id: string,
  ): Promise<
    { readonly status: 'created' | 'running' | 'paused' | 'stopped'; readonly pid: number } | undefined
  > {
    const state = await this.#runtime.state(id);
    if (state !== undefined) return state;
    return existsSync(this.#layout.bundle(id)) ? { status: 'stopped', pid: 0 } : undefined;
  }

  async list(): Promise<readonly string[]> {
    const names = [this.#layout.bundles, this.#layout.runtimeRoot].flatMap((folder) =>
      existsSync(folder) ? readdirSync(folder) : [],
    );
    return [...new Set(names)].filter((name) => validId.test(name)).sort();
  }

  async delete(id: string): Promise<void> {
    await this.#locks.run(id, () => this.#destroy(id));
  }

  /** Kills, waits for conmon's last words, removes everything but the log. Safe to repeat after a crash at any point. */
  async #destroy(id: string): Promise<void> {
    const bundle = this.#layout.bundle(id);
    await this.#runtime.call(['delete', '--force', id]);
    await this.#endConmon(bundle, id);
    this.#exits.check(id);
    this.#exits.settle(id, { exitCode: KILLED, oomKilled: false, finishedAt: Date.now() });
    let cgroupPath = `${this.#cgroupParent}/${id}`;
    try {
      ({ cgroupPath } = readRecord(bundle, id));
    } catch {
      // Killed before the record was written: then it had the default group.
    }
    await this.#clearCgroup(cgroupPath);
    rmSync(this.#layout.exitFile(id), { force: true });
    rmSync(join(this.#layout.runtimeRoot, id), { recursive: true, force: true });
    rmSync(bundle, { recursive: true, force: true });
  }

  async #endConmon(bundle: string, uuid: string): Promise<void> {
    const conmon = findConmon(bundle, uuid);
    if (conmon === undefined) return;
    const deadline = Date.now() + CONMON_END_MS;
    while (isAlive(conmon)) {
      if (Date.now() > deadline) sendSignal(conmon.pid, SIGKILL);
      await sleep(5);
    }
  }

  /** Processes may survive their container's first one when it has no pid namespace of its own. */
  async #clearCgroup(path: string): Promise<void> {
    for (let attempt = 0; attempt < 100 && !removeCgroup(this.#cgroups, path); attempt++) {
      for (const pid of cgroupProcesses(this.#cgroups, path)) sendSignal(pid, SIGKILL);
      await sleep(10);
    }
  }

  /** A container whose conmon is gone without an exit file has nobody to take its output: kill it, and say so. */
  async #checkSupervisor(id: string): Promise<void> {
    await this.#locks.run(id, async () => {
      const bundle = this.#layout.bundle(id);
      if (findConmon(bundle, id) !== undefined || readExit(this.#layout, id) !== undefined) return;
      if (!existsSync(bundle)) return;
      writeFileSync(join(bundle, lostFile), '');
      await this.#runtime.call(['delete', '--force', id]);
      writeFileSync(this.#layout.exitFile(id), String(KILLED));
      const now = new Date();
      utimesSync(this.#layout.exitFile(id), now, now);
      this.#exits.check(id);
    });
  }

  logs(id: string, query: LogQuery): AsyncIterable<LogLine> {
    return queryLogs(
      {
        path: this.#layout.log(id),
        finished: () => !existsSync(this.#layout.bundle(id)) || readExit(this.#layout, id) !== undefined,
        whenFinished: () => this.#exits.wait(id),
      },
      query,
    );
  }

  async processes(id: string): Promise<readonly number[]> {
    return cgroupProcesses(this.#cgroups, this.#record(id).cgroupPath);
  }

  async stats(id: string): Promise<Readonly<Record<string, unknown>>> {
    return { id };
  }

  async close(): Promise<void> {
    this.#exits.close();
  }

  #record(id: string): ContainerRecord {
    return readRecord(this.#layout.bundle(id), id);
  }

  #swapAccounting(): boolean {
    if (this.#cgroups.version === 2) return true;
    const memory = this.#cgroups.controllers.get('memory');
    return memory !== undefined && existsSync(join(memory, 'memory.memsw.limit_in_bytes'));
  }
}
