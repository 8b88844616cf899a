import { Worker } from 'node:worker_threads';
import { IdleTimer, idleThreadMs, VarveError } from '../../base/index.ts';
import type { Usage } from '../types.ts';
import type { Job, JobReply, StorageMessage } from './storage-worker.ts';
import type { Survey, SurveyPlan } from './survey-tree.ts';

// The bundle keeps workers beside itself under the same name.
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './storage-worker.ts' : './storage-worker.mjs',
  import.meta.url,
);

interface Waiter {
  resolve(value: JobReply): void;
  reject(error: unknown): void;
}

/**
 * One thread that does jobs in order, started when needed and kept for a while. It holds the process alive only while it has
 * something to do.
 */
class Lane {
  readonly #waiters = new Map<number, Waiter>();
  #worker: Worker | undefined;
  #next = 0;
  readonly #idle = new IdleTimer(idleThreadMs, () => {
    this.#worker?.postMessage('end' satisfies StorageMessage);
    this.#worker = undefined;
  });

  async run(job: Job): Promise<JobReply> {
    const worker = this.#start();
    this.#idle.stop();
    const id = this.#next++;
    return await new Promise<JobReply>((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, job } satisfies StorageMessage);
    });
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(entry, { name: 'varve-storage' });
    worker.on('message', ({ id, reply }: { id: number; reply: JobReply }) => {
      this.#waiters.get(id)?.resolve(reply);
      this.#waiters.delete(id);
      if (this.#waiters.size > 0) return;
      worker.unref();
      this.#idle.start();
    });
    const fail = (error: unknown): void => {
      // One that was let go ends later; another may have taken its place.
      if (this.#worker !== worker) return;
      this.#idle.stop();
      this.#worker = undefined;
      for (const waiter of this.#waiters.values()) waiter.reject(error);
      this.#waiters.clear();
    };
    worker.once('error', fail);
    worker.once('exit', () => fail(new VarveError('internal', 'WORKER_ENDED', 'the storage worker ended')));
    this.#worker = worker;
    return worker;
  }
}

// Deleting a large image must not keep a container's start waiting.
const lanes = { deletions: new Lane(), work: new Lane() };

async function run(lane: keyof typeof lanes, job: Job): Promise<JobReply> {
  const reply = await lanes[lane].run(job);
  const { error } = reply;
  if (error) throw new VarveError(error.kind, error.code, error.message);
  return reply;
}

/** Deletes a tree on another thread. See {@link file://./delete-tree.ts}. */
export async function deleteInBackground(path: string): Promise<void> {
  await run('deletions', { type: 'delete', path });
}

/** Measures a tree on another thread. See {@link file://./measure-tree.ts}. */
export async function measureInBackground(path: string, below?: string): Promise<Usage> {
  const { usage } = await run('work', { type: 'measure', path, below });
  return usage ?? { bytes: 0, contentBytes: 0, inodes: 0 };
}

/** Adds up what each place of a tree takes on another thread. See {@link file://./survey-tree.ts}. */
export async function surveyInBackground(path: string, plan: SurveyPlan): Promise<Survey> {
  const { survey } = await run('work', { type: 'survey', path, plan });
  return survey ?? { places: new Map(), linked: [] };
}

/** Finds whiteouts on another thread. See {@link file://./find-whiteouts.ts}. */
export async function findWhiteoutsInBackground(path: string): Promise<readonly string[]> {
  return (await run('work', { type: 'whiteouts', path })).whiteouts ?? [];
}

/** Copies the content of a folder into another on another thread. See {@link file://./copy-tree.ts}. */
export async function copyInBackground(from: string, to: string): Promise<void> {
  await run('work', { type: 'copy', from, to });
}

/** Links all that a stack of layers shows into a folder on another thread. See {@link file://./link-tree.ts}. */
export async function linkInBackground(stack: readonly string[], to: string): Promise<void> {
  await run('work', { type: 'link', stack, to });
}
