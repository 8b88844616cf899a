import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { IdleTimer, idleThreadMs, throwIfAborted, VarveError } from '../../base/index.ts';
import {
  fromPlainError,
  type JobName,
  type JobReply,
  type JobRequest,
  type Jobs,
  type PoolMessage,
} from './protocol.ts';

/** A worker's file: beside this one in the sources, beside the bundle (under the same name) when there is one. */
export function workerFile(name: string): URL {
  return new URL(`./${name}.${import.meta.url.endsWith('.ts') ? 'ts' : 'mjs'}`, import.meta.url);
}

interface Waiting {
  readonly request: JobRequest;
  readonly resolve: (result: never) => void;
  readonly reject: (error: VarveError) => void;
}

interface Member {
  readonly worker: Worker;
  current: Waiting | undefined;
  readonly idle: IdleTimer;
}

/**
 * Threads that run whole jobs, one each at a time, as many as the machine has cores (a layer's work is one thread's). They
 * start when needed, stay a while for the next job, and keep the process alive only while they work.
 */
export class WorkerPool {
  readonly #limit: number;
  readonly #idleMs: number;
  readonly #members: Member[] = [];
  readonly #queue: Waiting[] = [];
  #lastId = 0;

  /** @param idleMs how long a thread without work stays. */
  constructor(
    limit: number = Math.max(2, Math.min(8, availableParallelism())),
    idleMs: number = idleThreadMs,
  ) {
    this.#limit = limit;
    this.#idleMs = idleMs;
  }

  /** Runs a job. Aborting stops it at its next piece of data; it has ended when the promise rejects. */
  async run<J extends JobName>(
    job: J,
    args: Jobs[J]['args'],
    signal?: AbortSignal,
  ): Promise<Jobs[J]['result']> {
    throwIfAborted(signal);
    const stop = new SharedArrayBuffer(4);
    const flag = new Int32Array(stop);
    const id = ++this.#lastId;
    const onAbort = (): void => {
      Atomics.store(flag, 0, 1);
      this.#dropWaiting(id);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise<Jobs[J]['result']>((resolve, reject) => {
        this.#queue.push({ request: { id, job, args, stop }, resolve, reject });
        this.#dispatch();
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** A job that no thread has begun ends at once. */
  #dropWaiting(id: number): void {
    const at = this.#queue.findIndex(({ request }) => request.id === id);
    const [waiting] = at < 0 ? [] : this.#queue.splice(at, 1);
    waiting?.reject(new VarveError('cancelled', 'CANCELLED', 'the operation was cancelled'));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const free =
        this.#members.find((member) => !member.current) ??
        (this.#members.length < this.#limit ? this.#start() : undefined);
      if (!free) return;
      const next = this.#queue.shift() as Waiting;
      free.current = next;
      free.idle.stop();
      free.worker.ref();
      free.worker.postMessage(next.request);
    }
  }

  #start(): Member {
    const worker = new Worker(workerFile('layer-job-worker'), {
      name: 'varve-layer',
      // The program's own flags (--eval, --input-type) are not a thread's.
      execArgv: [],
      // Descriptors of `linux` calls are not Node's to count.
      trackUnmanagedFds: false,
    });
    const idle = new IdleTimer(this.#idleMs, () => this.#end(member));
    const member: Member = { worker, current: undefined, idle };
    worker.on('message', (reply: JobReply) => {
      const done = member.current;
      member.current = undefined;
      worker.unref();
      idle.start();
      if ('error' in reply) done?.reject(fromPlainError(reply.error));
      else done?.resolve(reply.result as never);
      this.#dispatch();
    });
    worker.on('error', (error) => this.#lost(member, error));
    worker.on('exit', () => this.#lost(member, undefined));
    this.#members.push(member);
    return member;
  }

  /** Lets a thread without work go; it ends by itself, so that what it holds is freed in order. */
  #end(member: Member): void {
    const at = this.#members.indexOf(member);
    if (at < 0 || member.current) return;
    this.#members.splice(at, 1);
    member.worker.postMessage('end' satisfies PoolMessage);
  }

  /** A thread that died (out of memory, say) fails its job; the next job starts another. */
  #lost(member: Member, cause: unknown): void {
    const at = this.#members.indexOf(member);
    if (at >= 0) this.#members.splice(at, 1);
    member.idle.stop();
    const failed = member.current;
    member.current = undefined;
    failed?.reject(
      new VarveError('internal', 'WORKER_LOST', 'the thread working on a layer ended unexpectedly', {
        cause,
      }),
    );
    if (at >= 0) this.#dispatch();
  }
}

let shared: WorkerPool | undefined;

/** The process's pool. */
export function workerPool(): WorkerPool {
  shared ??= new WorkerPool();
  return shared;
}
