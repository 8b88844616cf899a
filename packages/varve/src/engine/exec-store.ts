import { EventEmitter } from 'node:events';
import { VarveError } from '../base/index.ts';
import type { ExecSpec, RunningExec } from '../runtime/index.ts';

/** An exec of a container: kept in memory until its container goes, as in Docker. */
export interface Exec {
  readonly id: string;
  readonly containerId: string;
  readonly spec: ExecSpec;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
  started: boolean;
  running: RunningExec | undefined;
  pid: number;
  /** undefined until it has ended. */
  exitCode: number | undefined;
  /** Fires `end` with the exit code. */
  readonly signals: EventEmitter;
}

/** Ended execs kept for `inspect`, over all containers. */
const keptEnded = 1000;

/** The execs of all containers. */
export class ExecStore {
  readonly #execs = new Map<string, Exec>();

  add(exec: Omit<Exec, 'started' | 'running' | 'pid' | 'exitCode' | 'signals'>): Exec {
    const full: Exec = {
      ...exec,
      started: false,
      running: undefined,
      pid: 0,
      exitCode: undefined,
      signals: new EventEmitter(),
    };
    this.#execs.set(exec.id, full);
    this.#shrink();
    return full;
  }

  /** @throws VarveError `not-found` */
  get(id: string): Exec {
    const exec = this.#execs.get(id);
    if (exec) return exec;
    throw new VarveError('not-found', 'NO_SUCH_EXEC', `No such exec instance: ${id}`, { subject: id });
  }

  /** Ids of a container's execs that run now. */
  running(containerId: string): string[] {
    return [...this.#execs.values()]
      .filter((exec) => exec.containerId === containerId && exec.started && exec.exitCode === undefined)
      .map((exec) => exec.id);
  }

  removeOf(containerId: string): void {
    for (const exec of this.#execs.values()) {
      if (exec.containerId === containerId) this.#execs.delete(exec.id);
    }
  }

  #shrink(): void {
    if (this.#execs.size <= keptEnded) return;
    for (const exec of this.#execs.values()) {
      if (exec.exitCode !== undefined) this.#execs.delete(exec.id);
      if (this.#execs.size <= keptEnded) return;
    }
  }
}
