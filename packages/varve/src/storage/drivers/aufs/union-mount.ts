import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { getCompileCacheDir } from 'node:module';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IdleTimer, idleThreadMs, VarveError } from '../../../base/index.ts';
import { mountFuse, openFuse, type SpawnedProcess, spawn, tryLock, unmount } from '../../../linux/index.ts';
import type { UnionOptions } from './union/serve-union.ts';
import { Lines, type ServeOrder, type ServerReport, serverPipes } from './union-protocol.ts';

// The bundle keeps child processes beside itself under the same name.
const entry = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './union-worker.ts' : './union-worker.mjs', import.meta.url),
);

/** It allocates little, and all of it dies young: a small young generation and no helper threads keep it small. */
const nodeFlags = ['--max-semi-space-size=1', '--v8-pool-size=0', '--no-warnings'];

/**
 * Mounts that one process serves. Each more costs a megabyte instead of a process's 45, and a millisecond instead of 60;
 * each more also waits while another's file is copied up, and goes down with it.
 */
const mountsPerServer = 8;

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
  readonly onDeath: () => void;
}

/** A server process, as the engine that started it sees it. */
class UnionServer {
  readonly #process: SpawnedProcess;
  readonly #waiting = new Map<number, Waiter>();
  /** What it serves, and who is to be told when it dies. */
  readonly #served = new Map<number, () => void>();
  readonly #lines = new Lines();
  readonly #idle = new IdleTimer(idleThreadMs, () => {
    this.isAlive = false;
    this.#orders.destroy();
  });
  #next = 0;
  isAlive = true;

  constructor() {
    this.#process = spawn(process.execPath, [...nodeFlags, entry], {
      env: environment(),
      cwd: '/',
      keepsAlive: false,
      stdio: ['null', 'null', 'null', 'input', 'output'],
    });
    // EPIPE: it died, which its end tells.
    this.#orders.on('error', () => undefined);
    this.#orders.once('close', () => {
      this.isAlive = false;
    });
    this.#orders.unref();
    this.#reports.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#reports.on('error', () => undefined);
    this.#reports.unref();
    void this.#process.exited.then(() => this.#died());
  }

  get #orders(): Socket {
    return this.#process.pipes[serverPipes.orders] as Socket;
  }

  get #reports(): Socket {
    return this.#process.pipes[serverPipes.reports] as Socket;
  }

  get mounts(): number {
    return this.#served.size + this.#waiting.size;
  }

  async serve(order: Omit<ServeOrder, 'id'>, onDeath: () => void): Promise<void> {
    const id = this.#next++;
    this.#idle.stop();
    this.#reports.ref();
    await new Promise<void>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onDeath });
      this.#orders.write(`${JSON.stringify({ ...order, id } satisfies ServeOrder)}\n`);
    });
  }

  #read(chunk: Buffer): void {
    for (const line of this.#lines.push(chunk)) {
      const { id, event, code, message } = JSON.parse(line) as ServerReport;
      const waiter = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (event === 'serving' && waiter) {
        this.#served.set(id, waiter.onDeath);
        waiter.resolve();
      } else if (event === 'failed') {
        waiter?.reject(
          new VarveError('internal', code ?? 'UNION_FAILED', message ?? 'the union server failed'),
        );
      } else {
        this.#served.delete(id);
      }
    }
    if (this.#waiting.size === 0) this.#reports.unref();
    if (this.mounts === 0) this.#idle.start();
  }

  #died(): void {
    this.isAlive = false;
    this.#idle.stop();
    const error = new VarveError('unavailable', 'UNION_SERVER_ENDED', 'the server of union mounts ended');
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
    for (const tell of this.#served.values()) tell();
    this.#served.clear();
  }
}

/** The server compiles what we compiled once already, if we keep that. */
function environment(): Record<string, string> {
  const cache = getCompileCacheDir();
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) };
}

const servers = new Set<UnionServer>();

export interface UnionMount extends UnionOptions {
  /** An empty folder. */
  readonly target: string;
  readonly isReadOnly: boolean;
  /** Locked while the mount is served; see {@link isServed}. */
  readonly lockFile: string;
}

/**
 * Mounts a union, served by a process that outlives this one and ends with its last mount. What is mounted is so by us: if
 * we die, nobody mounts it later.
 * @param onDeath called when that process dies while it serves the mount.
 * @throws VarveError with the errno's name as code, or `unavailable` `UNION_SERVER_ENDED`; nothing is mounted then.
 */
export async function mountUnion(mount: UnionMount, onDeath: () => void): Promise<void> {
  try {
    await tryToMount(mount, onDeath);
  } catch (error) {
    // It may have died, or ended for want of work, without our knowing.
    if (!VarveError.is(error) || error.code !== 'UNION_SERVER_ENDED') throw error;
    await tryToMount(mount, onDeath);
  }
}

async function tryToMount(mount: UnionMount, onDeath: () => void): Promise<void> {
  const { target, isReadOnly, lockFile, writable, readOnly, passthrough } = mount;
  // First: a process being started has copies of all descriptors for a moment, and would seem to serve the mount.
  const chosen = server();
  // A file of its own for each mount: whoever served an earlier one may not have ended yet.
  rmSync(lockFile, { force: true });
  const lock = openSync(lockFile, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    tryLock(lock);
    const connection = openFuse();
    try {
      mountFuse(connection, 'aufs', target, { readOnly: isReadOnly });
      const order = { engine: process.pid, connection, lock, writable, readOnly, passthrough };
      await chosen.serve(order, onDeath);
    } catch (error) {
      unmount(target, { detach: true });
      throw error;
    } finally {
      closeSync(connection);
    }
  } finally {
    closeSync(lock);
  }
}

function server(): UnionServer {
  for (const item of servers) if (!item.isAlive) servers.delete(item);
  for (const item of servers) if (item.mounts < mountsPerServer) return item;
  const item = new UnionServer();
  servers.add(item);
  return item;
}

/** Whether a server lives that serves the mount of this file: the lock is its descriptor's, so that it ends with it. */
export function isServed(lockFile: string): boolean {
  let fd: number;
  try {
    fd = openSync(lockFile, constants.O_RDONLY);
  } catch {
    return false;
  }
  try {
    return tryLock(fd) === false;
  } finally {
    closeSync(fd);
  }
}
