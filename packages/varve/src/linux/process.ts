import { existsSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants as osConstants } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { throwIfAborted, VarveError } from '../base/index.ts';
import { declare, errnoName, lastErrno, systemError } from './libc.ts';

/**
 * Starting programs with posix_spawn(3) instead of node:child_process.
 *
 * Node's spawn forks: the event loop stands still while the kernel copies the daemon's page tables, 2 ms at 50 MB of
 * memory and 35 ms at 1 GB (measured). posix_spawn shares them until exec and takes 1 ms at any size. It also
 * lets us close every descriptor the child was not given, which fork in libuv cannot.
 *
 * There is never a shell: a program is an absolute path and a list of arguments.
 */

const posixSpawn = declare<
  (
    pid: [number],
    path: string,
    actions: Buffer,
    attributes: Buffer,
    argv: (string | null)[],
    envp: (string | null)[],
  ) => number
>(
  'int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attr, const char **argv, const char **envp)',
);
const actionsInit = declare<(actions: Buffer) => number>('int posix_spawn_file_actions_init(void *actions)');
const actionsDestroy = declare<(actions: Buffer) => number>(
  'int posix_spawn_file_actions_destroy(void *actions)',
);
const addDup2 = declare<(actions: Buffer, fd: number, target: number) => number>(
  'int posix_spawn_file_actions_adddup2(void *actions, int fd, int target)',
);
const addChdir = declare<(actions: Buffer, path: string) => number>(
  'int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)',
);
const addCloseFrom = declare<(actions: Buffer, from: number) => number>(
  'int posix_spawn_file_actions_addclosefrom_np(void *actions, int from)',
);
const attributesInit = declare<(attributes: Buffer) => number>('int posix_spawnattr_init(void *attr)');
const attributesDestroy = declare<(attributes: Buffer) => number>('int posix_spawnattr_destroy(void *attr)');
const setFlags = declare<(attributes: Buffer, flags: number) => number>(
  'int posix_spawnattr_setflags(void *attr, short flags)',
);
const setMask = declare<(attributes: Buffer, set: Buffer) => number>(
  'int posix_spawnattr_setsigmask(void *attr, void *set)',
);
const setDefault = declare<(attributes: Buffer, set: Buffer) => number>(
  'int posix_spawnattr_setsigdefault(void *attr, void *set)',
);
const pipe2 = declare<(fds: Buffer, flags: number) => number>('int pipe2(void *fds, int flags)');
const duplicate = declare<(fd: number, command: number, minimum: number) => number>(
  'int fcntl(int fd, int command, int minimum)',
);
const waitpid = declare<(pid: number, status: Buffer, options: number) => number>(
  'int waitpid(int pid, void *status, int options)',
);

const closeCall = declare<(fd: number) => number>('int close(int fd)');

const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const F_DUPFD_CLOEXEC = 1030;
const WNOHANG = 1;
const SPAWN_SETSIGDEF = 0x04;
const SPAWN_SETSIGMASK = 0x08;
const SPAWN_SETSID = 0x80;
// glibc's types are 80 and 336 bytes and sigset_t is 128; these are roomier.
const ACTIONS_BYTES = 256;
const ATTRIBUTES_BYTES = 512;
const SIGSET_BYTES = 128;

/** What a child's descriptor is: `/dev/null`, a pipe we write (`input`), a pipe we read (`output`), or one of our descriptors. */
export type StdioTarget = 'null' | 'input' | 'output' | number;

export interface SpawnOptions {
  /** The whole environment; nothing is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Descriptors 0, 1, 2 and up; absent ones of the first three are `/dev/null`, all others are closed. */
  readonly stdio?: readonly StdioTarget[];
  /** Starts a session of its own, so that a terminal's signals do not reach it. Default true. */
  readonly newSession?: boolean;
  /** False for a program that may go on when this process ends: nobody needs to wait for it. Default true. */
  readonly keepsAlive?: boolean;
}

/** How a process ended: an exit code, or the number of the signal that killed it. */
export interface ProcessExit {
  readonly code: number | undefined;
  readonly signal: number | undefined;
}

export interface SpawnedProcess {
  readonly pid: number;
  /** Our ends of the pipes, by descriptor number; undefined where there is none. */
  readonly pipes: readonly (Socket | undefined)[];
  readonly exited: Promise<ProcessExit>;
  /** Sends a signal, unless the process was already reaped (its pid may be someone else's then). */
  kill(signal: number): void;
}

/** Two ends of a pipe, both close-on-exec: `[read, write]` (pipe2(2)). */
export function makePipe(): readonly [number, number] {
  const fds = Buffer.alloc(8);
  if (pipe2(fds, O_CLOEXEC) !== 0) throw systemError('pipe2', '');
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
}

const searchPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/**
 * The absolute path of a program, from a fixed list of system folders (never from PATH, which an attacker or an
 * image may have set).
 * @throws VarveError `not-found` when it is in none of them.
 */
export function findProgram(name: string): string {
  if (name.startsWith('/')) return name;
  for (const folder of searchPath) if (existsSync(`${folder}/${name}`)) return `${folder}/${name}`;
  throw new VarveError('not-found', 'NO_SUCH_PROGRAM', `program "${name}" is not installed`, {
    subject: name,
    hint: `install the package that holds ${name}`,
  });
}

interface Pending {
  readonly keepsAlive: boolean;
  readonly resolve: (exit: ProcessExit) => void;
}

const pending = new Map<number, Pending>();
let timer: NodeJS.Timeout | undefined;
let delay = 1;

function reapOne(pid: number): ProcessExit | undefined {
  const status = Buffer.alloc(4);
  const result = waitpid(pid, status, WNOHANG);
  if (result === 0) return undefined;
  if (result < 0) return { code: undefined, signal: osConstants.signals.SIGKILL };
  const value = status.readInt32LE(0);
  const signal = value & 0x7f;
  return signal === 0 ? { code: (value >> 8) & 0xff, signal: undefined } : { code: undefined, signal };
}

function reapAll(): void {
  for (const [pid, waiter] of pending) {
    const exit = reapOne(pid);
    if (exit === undefined) continue;
    pending.delete(pid);
    waiter.resolve(exit);
  }
  if (pending.size === 0 && isMainThread) process.off('SIGCHLD', reapAll);
}

// SIGCHLD tells the main thread at once; the timer keeps the loop alive, serves workers (where Node delivers no
// signals) and heals a lost signal.
function poll(): void {
  timer = undefined;
  reapAll();
  if (pending.size === 0) return;
  delay = Math.min(delay * 2, isMainThread ? 200 : 20);
  startTimer();
}

function startTimer(): void {
  timer = setTimeout(poll, delay);
  if (![...pending.values()].some(({ keepsAlive }) => keepsAlive)) timer.unref();
}

function watch(pid: number, keepsAlive: boolean): Promise<ProcessExit> {
  return new Promise((resolve) => {
    if (pending.size === 0 && isMainThread) process.on('SIGCHLD', reapAll);
    pending.set(pid, { resolve, keepsAlive });
    delay = 1;
    if (timer !== undefined) clearTimeout(timer);
    startTimer();
  });
}

const openCall = declare<(path: string, flags: number) => number>('int open(const char *path, int flags)');

function openNull(): number {
  const fd = openCall('/dev/null', O_RDWR | O_CLOEXEC);
  if (fd < 0) throw systemError('open', '/dev/null');
  return fd;
}

/** Our end and the child's end for one slot. `close` means that the child's end is ours to close after the spawn. */
function openSlot(target: StdioTarget): { ours?: number; childs: number; close: boolean } {
  if (typeof target === 'number') return { childs: target, close: false };
  if (target === 'null') return { childs: openNull(), close: true };
  const [read, write] = makePipe();
  return target === 'input'
    ? { ours: write, childs: read, close: true }
    : { ours: read, childs: write, close: true };
}

/** Closes a descriptor that Node did not open (close(2)); Node's own close warns of those in worker threads. */
export function closeFd(fd: number): void {
  closeCall(fd);
}

/**
 * Starts a program (posix_spawn(3)) with default signal handling, an empty signal mask, and no descriptor but those of `stdio`.
 * @throws VarveError `not-found` (ENOENT) or another system error when it cannot be executed.
 */
export function spawn(path: string, args: readonly string[], options: SpawnOptions = {}): SpawnedProcess {
  const targets = [...(options.stdio ?? [])];
  while (targets.length < 3) targets.push('null');
  for (const text of [path, ...args]) {
    if (text.includes('\0')) {
      throw new VarveError('invalid', 'INVALID_ARGUMENT', 'an argument holds a NUL byte', { subject: path });
    }
  }
  const actions = Buffer.alloc(ACTIONS_BYTES);
  const attributes = Buffer.alloc(ATTRIBUTES_BYTES);
  const mine: (number | undefined)[] = [];
  const temporary: number[] = [];
  actionsInit(actions);
  attributesInit(attributes);
  let pid: number;
  try {
    targets.forEach((target, slot) => {
      const opened = openSlot(target);
      mine[slot] = opened.ours;
      if (opened.close) temporary.push(opened.childs);
      let source = opened.childs;
      if (source < targets.length) {
        // It would be overwritten by an earlier slot's dup2 in the child.
        source = duplicate(source, F_DUPFD_CLOEXEC, targets.length);
        if (source < 0) throw systemError('fcntl', path);
        temporary.push(source);
      }
      addDup2(actions, source, slot);
    });
    if (options.cwd !== undefined) addChdir(actions, options.cwd);
    addCloseFrom(actions, targets.length);
    setFlags(
      attributes,
      SPAWN_SETSIGDEF | SPAWN_SETSIGMASK | ((options.newSession ?? true) ? SPAWN_SETSID : 0),
    );
    setMask(attributes, Buffer.alloc(SIGSET_BYTES));
    setDefault(attributes, Buffer.alloc(SIGSET_BYTES, 0xff));
    const environment = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
    const out: [number] = [0];
    const errno = posixSpawn(out, path, actions, attributes, [path, ...args, null], [...environment, null]);
    if (errno !== 0) throw systemError('posix_spawn', path, errno);
    pid = out[0];
  } catch (error) {
    for (const fd of mine) if (fd !== undefined) closeFd(fd);
    throw error;
  } finally {
    temporary.forEach(closeFd);
    actionsDestroy(actions);
    attributesDestroy(attributes);
  }
  const pipes = mine.map((fd, slot) => {
    if (fd === undefined) return undefined;
    const input = targets[slot] === 'input';
    return new Socket({ fd, readable: !input, writable: input });
  });
  let ended = false;
  const exited = watch(pid, options.keepsAlive ?? true).then((exit) => {
    ended = true;
    return exit;
  });
  return {
    pid,
    pipes,
    exited,
    kill(signal) {
      if (!ended && pending.has(pid)) sendSignal(pid, signal);
    },
  };
}

const killCall = declare<(pid: number, signal: number) => number>('int kill(int pid, int signal)');

/**
 * Sends a signal by number to a process (kill(2)); false when there is no such process.
 * @throws VarveError on other failures.
 */
export function sendSignal(pid: number, signal: number): boolean {
  if (killCall(pid, signal) === 0) return true;
  const errno = lastErrno();
  if (errnoName(errno) === 'ESRCH') return false;
  throw systemError('kill', String(pid), errno);
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Bytes for the program's stdin; `/dev/null` when absent. */
  readonly input?: string | Uint8Array;
  /** Kills the program (SIGKILL) when it fires; `run` then rejects with `cancelled`. */
  readonly signal?: AbortSignal;
  /** Most bytes kept of each output; more are read and dropped. Default 16 MiB. */
  readonly limit?: number;
}

export interface RunResult extends ProcessExit {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

function collect(socket: Socket, limit: number): { done: Promise<void>; bytes: () => Buffer } {
  const chunks: Buffer[] = [];
  let size = 0;
  socket.on('data', (chunk: Buffer) => {
    const keep = chunk.subarray(0, limit - size);
    if (keep.length === 0) return;
    size += keep.length;
    chunks.push(keep);
  });
  const done = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.on('error', () => undefined);
  });
  return { done, bytes: () => Buffer.concat(chunks) };
}

// A grandchild may keep a pipe open after the program's end; its output is not ours to wait for.
const PIPE_GRACE_MS = 1000;

/**
 * Runs a program to its end and returns its output and exit; a non-zero exit is a result, not an error.
 * @throws VarveError `not-found` when there is no such program, `cancelled` when the signal fired.
 */
export async function run(
  path: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  throwIfAborted(options.signal);
  const limit = options.limit ?? 16 * 1024 * 1024;
  const child = spawn(path, args, {
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: [options.input === undefined ? 'null' : 'input', 'output', 'output'],
  });
  const kill = (): void => child.kill(osConstants.signals.SIGKILL);
  options.signal?.addEventListener('abort', kill, { once: true });
  try {
    const [input, output, errors] = child.pipes;
    const stdout = collect(output as Socket, limit);
    const stderr = collect(errors as Socket, limit);
    // EPIPE: the program may end without reading all of its input.
    input?.on('error', () => undefined);
    if (options.input !== undefined) input?.end(options.input);
    const exit = await child.exited;
    const grace = setTimeout(() => {
      output?.destroy();
      errors?.destroy();
    }, PIPE_GRACE_MS);
    await Promise.all([stdout.done, stderr.done]);
    clearTimeout(grace);
    input?.destroy();
    throwIfAborted(options.signal);
    return { ...exit, stdout: stdout.bytes(), stderr: stderr.bytes() };
  } finally {
    options.signal?.removeEventListener('abort', kill);
  }
}
