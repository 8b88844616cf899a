import { Worker } from 'node:worker_threads';
import { IdleTimer, idleThreadMs, VarveError } from '../../base/index.ts';
import { workerFile } from './pool.ts';
import { fromPlainError } from './protocol.ts';
import type { SessionReply, SessionRequest, SessionStart, StreamMessage } from './stream-protocol.ts';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: VarveError) => void;
}

/** Threads that streams share; two, so that a long piece of one does not stop all others. */
const threadCount = 2;

class Thread {
  readonly worker: Worker;
  /** Replies still to come, by session, in order. */
  readonly waiting = new Map<number, Waiting[]>();
  readonly #idle = new IdleTimer(idleThreadMs, () => {
    this.#onGone(this);
    this.worker.postMessage('end' satisfies StreamMessage);
  });
  readonly #onGone: (thread: Thread) => void;

  /** @param onGone called when it takes no more sessions: it was idle for long, or died. */
  constructor(onGone: (thread: Thread) => void) {
    this.#onGone = onGone;
    this.worker = new Worker(workerFile('layer-stream-worker'), {
      name: 'varve-layer-stream',
      execArgv: [],
      trackUnmanagedFds: false,
    });
    this.worker.on('message', (reply: SessionReply) => {
      const waiting = this.waiting.get(reply.id)?.shift();
      if ('error' in reply) waiting?.reject(fromPlainError(reply.error));
      else waiting?.resolve(reply.value);
    });
    const lost = (cause?: unknown): void => {
      this.#idle.stop();
      onGone(this);
      const error = new VarveError('internal', 'WORKER_LOST', 'the thread working on an archive ended', {
        cause,
      });
      for (const queue of this.waiting.values()) for (const { reject } of queue.splice(0)) reject(error);
    };
    this.worker.on('error', lost);
    this.worker.on('exit', () => lost());
  }

  open(id: number): void {
    this.#idle.stop();
    if (this.waiting.size === 0) this.worker.ref();
    this.waiting.set(id, []);
  }

  close(id: number): Waiting[] {
    const queue = this.waiting.get(id) ?? [];
    this.waiting.delete(id);
    if (this.waiting.size === 0) {
      this.worker.unref();
      this.#idle.start();
    }
    return queue;
  }
}

let threads: Thread[] = [];
let lastId = 0;

function pickThread(): Thread {
  const free = threads.find((thread) => thread.waiting.size === 0);
  if (free) return free;
  if (threads.length < threadCount) {
    const thread = new Thread((gone) => {
      threads = threads.filter((other) => other !== gone);
    });
    threads.push(thread);
    return thread;
  }
  return threads.reduce((best, thread) => (thread.waiting.size < best.waiting.size ? thread : best));
}

/** A stream's other half in this thread. The process stays alive until it is closed. */
export class StreamSession {
  readonly #id = ++lastId;
  readonly #thread: Thread;
  #open = true;

  constructor() {
    this.#thread = pickThread();
    this.#thread.open(this.#id);
  }

  start(start: SessionStart): Promise<unknown> {
    return this.#ask({ id: this.#id, type: 'start', start });
  }

  /** Gives bytes away with all their memory. @returns that memory, when the thread has done with it and it still takes part. */
  async chunk(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const memory = await this.#ask({ id: this.#id, type: 'chunk', data }, [data.buffer]);
    return memory as Uint8Array<ArrayBuffer> | undefined;
  }

  end(): Promise<unknown> {
    return this.#ask({ id: this.#id, type: 'end' });
  }

  /** The next bytes; undefined at the end. */
  async pull(): Promise<Uint8Array | undefined> {
    return (await this.#ask({ id: this.#id, type: 'pull' })) as Uint8Array | undefined;
  }

  /** Ends the session, finished or not. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#thread.worker.postMessage({ id: this.#id, type: 'cancel' } satisfies SessionRequest);
    for (const { reject } of this.#thread.close(this.#id)) {
      reject(new VarveError('cancelled', 'CANCELLED', 'the operation was cancelled'));
    }
  }

  #ask(request: SessionRequest, transfer: ArrayBuffer[] = []): Promise<unknown> {
    const queue = this.#thread.waiting.get(this.#id);
    if (!queue)
      return Promise.reject(new VarveError('cancelled', 'CANCELLED', 'the operation was cancelled'));
    return new Promise((resolve, reject) => {
      queue.push({ resolve, reject });
      this.#thread.worker.postMessage(request, transfer);
    });
  }
}
