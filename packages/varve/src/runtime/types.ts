import type { Writable } from 'node:stream';

/** A mount inside the container, source already resolved on the host. */
export interface RuntimeMount {
  readonly source: string;
  readonly destination: string;
  readonly type: 'bind' | 'tmpfs';
  readonly readOnly: boolean;
  /** Further mount options: `rprivate`, `size=64m`, `mode=1777`, … */
  readonly options: readonly string[];
}

/** Limits as in Docker's HostConfig; undefined means none. */
export interface Resources {
  readonly memory?: number;
  readonly memoryReservation?: number;
  readonly memorySwap?: number;
  readonly memorySwappiness?: number;
  readonly oomKillDisable?: boolean;
  readonly nanoCpus?: number;
  readonly cpuShares?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly pidsLimit?: number;
}

/** What to run, in engine terms; the runtime room turns it into an OCI runtime spec (config.json). */
export interface ContainerSpec {
  readonly id: string;
  readonly name: string;
  /** The mounted root file system. */
  readonly rootfs: string;
  readonly readOnlyRootfs: boolean;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  /** As given (`name`, `uid`, `uid:gid`, `name:group`); resolved inside the rootfs, safely. */
  readonly user: string;
  readonly groups: readonly string[];
  readonly tty: boolean;
  readonly openStdin: boolean;
  readonly stdinOnce: boolean;
  readonly hostname: string;
  readonly domainname?: string;
  readonly mounts: readonly RuntimeMount[];
  readonly resources: Resources;
  readonly privileged: boolean;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly securityOpt: readonly string[];
  readonly devices: readonly {
    readonly host: string;
    readonly container: string;
    readonly permissions: string;
  }[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly shmSize: number;
  readonly init: boolean;
  readonly oomScoreAdj: number;
  /** Namespace files to join, or `host`; absent means a new one. */
  readonly namespaces: {
    readonly network?: string;
    readonly pid?: string;
    readonly ipc?: string;
    readonly uts?: string;
  };
  readonly cgroupParent?: string;
  readonly terminalSize?: { readonly rows: number; readonly columns: number };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** One started OCI container under its conmon. */
export interface RunningContainer {
  readonly id: string;
  /** Pid of the container's first process on the host. */
  readonly pid: number;
}

export interface ContainerExit {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Milliseconds since 1970. */
  readonly finishedAt: number;
  readonly error?: string;
}

/** One attached client's view of a container's or an exec's streams. With a terminal all output is `stdout`. */
export interface AttachedStreams {
  /**
   * Output in order; `stream` 1 is stdout, 2 stderr. Bounded: a reader that stands still with a full buffer loses its
   * connection after some seconds (the iteration throws `SLOW_READER`); a container is not held longer than that.
   */
  readonly output: AsyncIterable<{ readonly stream: 1 | 2; readonly data: Buffer }>;
  /** Ends the container's stdin when ended; undefined when stdin is not open. */
  readonly input: Writable | undefined;
  close(): void;
}

export interface ExecSpec {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly tty: boolean;
  readonly openStdin: boolean;
  readonly privileged: boolean;
  readonly terminalSize?: { readonly rows: number; readonly columns: number };
}

export interface RunningExec {
  readonly pid: number;
  readonly streams: AttachedStreams;
  /** Resolves after the last byte of output was delivered. */
  readonly exit: Promise<number>;
  resize(rows: number, columns: number): Promise<void>;
}

export interface LogLine {
  readonly stream: 1 | 2;
  /** RFC 3339 with nine digits, UTC. */
  readonly timestamp: string;
  /** With its newline; without one for unfinished output of an ended container and for pieces of a line over 1 MiB. */
  readonly data: Buffer;
}

export interface LogQuery {
  readonly follow?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  /** Seconds since 1970, fractional. */
  readonly since?: number;
  readonly until?: number;
  /** Number of last lines; all when undefined. */
  readonly tail?: number;
  readonly signal?: AbortSignal;
}

/** Runs containers that outlive the daemon: conmon + runc or crun, one conmon each. */
export interface ContainerRuntime {
  readonly name: string;
  /** `runc version 1.1.5`, for info. */
  version(): Promise<string>;
  /** Creates the container, stopped before its first instruction. @throws with kind `invalid` and data.exitCode 126/127 when the program cannot run. */
  create(spec: ContainerSpec): Promise<RunningContainer>;
  /** Connects to its streams; between create and start not a byte is lost. */
  attach(id: string): Promise<AttachedStreams>;
  start(id: string): Promise<void>;
  kill(id: string, signal: number): Promise<void>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  update(id: string, resources: Resources): Promise<void>;
  resize(id: string, rows: number, columns: number): Promise<void>;
  exec(id: string, execId: string, spec: ExecSpec): Promise<RunningExec>;
  /** Resolves when the container's exit is known, at once when it already is. */
  wait(id: string): Promise<ContainerExit>;
  /** State of what is left after a restart of the daemon; undefined when the runtime knows nothing of it. */
  inspect(
    id: string,
  ): Promise<
    { readonly status: 'created' | 'running' | 'paused' | 'stopped'; readonly pid: number } | undefined
  >;
  /** Ids of all containers this runtime's state folder holds. */
  list(): Promise<readonly string[]>;
  /** Kills what runs and removes all runtime state; the log stays. */
  delete(id: string): Promise<void>;
  logs(id: string, query: LogQuery): AsyncIterable<LogLine>;
  /** Pids of its processes on the host. */
  processes(id: string): Promise<readonly number[]>;
  stats(id: string): Promise<Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}
