import { existsSync, type FSWatcher, mkdirSync, readFileSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from './layout.ts';
import type { ContainerExit } from './types.ts';

/** Marks a container whose conmon was lost; its exit code is unknown for good. */
export const lostFile = 'supervisor-lost';

/**
 * The exit of a container as conmon left it on disk; undefined while there is none. Reading it again and again gives the
 * same answer, also after a restart of the daemon, until the container is deleted.
 */
export function readExit(layout: Layout, id: string): ContainerExit | undefined {
  const file = layout.exitFile(id);
  let text: string;
  let finishedAt: number;
  try {
    text = readFileSync(file, 'utf8');
    finishedAt = statSync(file).mtimeMs;
  } catch {
    return undefined;
  }
  const exitCode = Number.parseInt(text, 10);
  if (!Number.isInteger(exitCode)) return undefined;
  const bundle = layout.bundle(id);
  const oomKilled = existsSync(join(bundle, 'oom')) || existsSync(join(bundle, 'persist', 'oom'));
  const lost = existsSync(join(bundle, lostFile));
  return {
    exitCode,
    oomKilled,
    finishedAt: Math.floor(finishedAt),
    ...(lost ? { error: 'supervisor lost' } : {}),
  };
}

// inotify may drop events under load, and conmon may die without a file: look at everything this often.
const RESCAN_MS = 3000;

/**
 * Tells of exits as conmon writes them: inotify on the folder, and a look at all that are waited for every few seconds.
 * Nothing is watched before somebody waits; then the process stays alive until {@link ExitWatcher.close}.
 */
export class ExitWatcher {
  readonly #layout: Layout;
  readonly #waiters = new Map<string, ((exit: ContainerExit) => void)[]>();
  readonly #onRescan: (id: string) => Promise<void>;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param onRescan called for each container waited for without an exit, to check on its conmon. */
  constructor(layout: Layout, onRescan: (id: string) => Promise<void>) {
    this.#layout = layout;
    this.#onRescan = onRescan;
  }

  /** Resolves with the exit, at once when it is known; never, and holding nothing, after the signal has fired. */
  async wait(id: string, signal?: AbortSignal): Promise<ContainerExit> {
    const known = readExit(this.#layout, id);
    if (known !== undefined) return known;
    return await new Promise((resolve) => {
      const waiters = this.#waiters.get(id) ?? [];
      waiters.push(resolve);
      this.#waiters.set(id, waiters);
      signal?.addEventListener('abort', () => {
        const at = waiters.indexOf(resolve);
        if (at >= 0) waiters.splice(at, 1);
        if (waiters.length === 0 && this.#waiters.get(id) === waiters) this.#waiters.delete(id);
      });
      this.#arm();
      // It may have come between the look and the watch.
      this.check(id);
    });
  }

  /** Looks for one exit and tells who waits for it. */
  check(id: string): void {
    const waiters = this.#waiters.get(id);
    if (waiters === undefined) return;
    const exit = readExit(this.#layout, id);
    if (exit === undefined) return;
    this.#waiters.delete(id);
    for (const resolve of waiters) resolve(exit);
  }

  /** Ends the waiting for a container that is gone without an exit, such as one that was never started. */
  settle(id: string, exit: ContainerExit): void {
    const waiters = this.#waiters.get(id) ?? [];
    this.#waiters.delete(id);
    for (const resolve of waiters) resolve(exit);
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    if (this.#watcher === undefined) {
      mkdirSync(this.#layout.exits, { recursive: true, mode: 0o700 });
      this.#watcher = watch(this.#layout.exits, (_, name) => {
        if (name !== null) this.check(name);
      });
      this.#watcher.on('error', () => undefined);
    }
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => {
        void this.#rescan();
      }, RESCAN_MS);
    }
  }

  async #rescan(): Promise<void> {
    for (const id of this.#waiters.keys()) this.check(id);
    await Promise.allSettled([...this.#waiters.keys()].map((id) => this.#onRescan(id)));
    if (this.#watcher === undefined) return;
    this.#timer = undefined;
    if (this.#waiters.size > 0) this.#arm();
  }
}
