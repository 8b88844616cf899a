import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { RegistryError } from '../errors.ts';

interface Job {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
  readonly resolve: (matches: boolean) => void;
  readonly reject: (error: Error) => void;
}

interface Member {
  readonly worker: Worker;
  job: Job | undefined;
}

// Half the cores, so that logins do not starve transfers; a queue of this length is some seconds of work.
const maxThreads = Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)));
const maxWaiting = 64;

/** bcrypt in threads, bounded: more comparisons than it can do are refused, not queued without end. */
export class Bcrypt implements AsyncDisposable {
  readonly #members: Member[] = [];
  readonly #queue: Job[] = [];
  readonly #running = new Set<Promise<boolean>>();
  #lastId = 0;

  /** @throws RegistryError `TOOMANYREQUESTS` when too many wait */
  compare(password: string, hash: string): Promise<boolean> {
    if (this.#queue.length >= maxWaiting) {
      throw new RegistryError('TOOMANYREQUESTS', {
        message: 'too many logins at once',
        headers: { 'Retry-After': '2' },
      });
    }
    const result = new Promise<boolean>((resolve, reject) => {
      this.#queue.push({ id: ++this.#lastId, password, hash, resolve, reject });
      this.#next();
    });
    this.#running.add(result);
    const settled = (): void => void this.#running.delete(result);
    result.then(settled, settled);
    return result;
  }

  /** Ends the threads, after the comparisons that run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#running);
    await Promise.all(this.#members.splice(0).map(({ worker }) => worker.terminate()));
  }

  #next(): void {
    if (this.#queue.length === 0) return;
    const idle = this.#members.find(({ job }) => job === undefined) ?? this.#start();
    if (!idle) return;
    const job = this.#queue.shift();
    if (!job) return;
    idle.job = job;
    idle.worker.ref();
    idle.worker.postMessage({ id: job.id, password: job.password, hash: job.hash });
  }

  #start(): Member | undefined {
    if (this.#members.length >= maxThreads) return undefined;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'mjs';
    const worker = new Worker(new URL(`./bcrypt-worker.${extension}`, import.meta.url), {
      name: 'varve-bcrypt',
    });
    const member: Member = { worker, job: undefined };
    const finish = (settle: (job: Job) => void): void => {
      const { job } = member;
      member.job = undefined;
      worker.unref();
      if (job) settle(job);
      this.#next();
    };
    worker.on('message', ({ matches }: { matches: boolean }) => finish((job) => job.resolve(matches)));
    worker.on('error', (error) => {
      this.#drop(member);
      finish((job) => job.reject(error));
    });
    worker.on('exit', () => {
      this.#drop(member);
      finish((job) => job.reject(new Error('the thread ended')));
    });
    worker.unref();
    this.#members.push(member);
    return member;
  }

  #drop(member: Member): void {
    const index = this.#members.indexOf(member);
    if (index >= 0) this.#members.splice(index, 1);
  }
}
