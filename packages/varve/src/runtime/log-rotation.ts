import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { reopenLog } from './conmon.ts';
import { readExit } from './exits.ts';
import type { Layout } from './layout.ts';

/** When a log is rotated and how many files it may have, the present one counted. */
export interface LogLimits {
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/**
 * Rotates a log that has grown too large: `.log` becomes `.log.1`, and so on; the oldest goes. conmon's own
 * `--log-size-max` throws the old log away (2.1.6), so we rename and tell it to open the name anew; what it writes
 * in between goes to the renamed file, so no line is lost. True when it was rotated.
 */
export async function rotateLog(bundle: string, path: string, limits: LogLimits): Promise<boolean> {
  const before = statSync(path, { throwIfNoEntry: false });
  if (before === undefined) {
    // A daemon died between the rename and the message: conmon still writes to the renamed file.
    await reopenLog(bundle);
    return false;
  }
  if (before.size < limits.maxBytes) return false;
  if (limits.maxFiles > 1) {
    rmSync(`${path}.${limits.maxFiles - 1}`, { force: true });
    for (let age = limits.maxFiles - 2; age >= 1; age--) {
      if (statSync(`${path}.${age}`, { throwIfNoEntry: false }) !== undefined) {
        renameSync(`${path}.${age}`, `${path}.${age + 1}`);
      }
    }
    renameSync(path, `${path}.1`);
  } else {
    rmSync(path);
  }
  await reopenLog(bundle);
  // Until the new file is there a second rotation would find nothing, which is harmless, but readers poll less.
  for (let attempt = 0; attempt < 50 && statSync(path, { throwIfNoEntry: false }) === undefined; attempt++) {
    await sleep(5);
  }
  return true;
}

/** While logs grow slowly a look every two seconds is enough; a container can write 300 MB in one. */
const SLOWEST_MS = 2000;
const FASTEST_MS = 100;

/** When to look next, so that the fastest log has grown by about half its limit by then. */
export function nextLook(grownBytes: number, elapsedMs: number, limits: LogLimits): number {
  const halfFullMs = (limits.maxBytes / 2) * (elapsedMs / Math.max(1, grownBytes));
  return Math.max(FASTEST_MS, Math.min(SLOWEST_MS, Math.floor(halfFullMs)));
}

/** Rotates the logs of all running containers, while it lives. It does not keep the process alive. */
export class LogRotator {
  readonly #layout: Layout;
  readonly #limits: LogLimits;
  #sizes = new Map<string, number>();
  #looked = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(layout: Layout, limits: LogLimits) {
    this.#layout = layout;
    this.#limits = limits;
    this.#schedule(SLOWEST_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      void this.#look().then((next) => {
        this.#schedule(next);
      });
    }, delayMs);
    this.#timer.unref();
  }

  /** Rotates what has grown too large; resolves with the time to the next look. */
  async #look(): Promise<number> {
    const now = performance.now();
    const elapsed = now - this.#looked;
    this.#looked = now;
    const sizes = new Map<string, number>();
    let fastest = 0;
    for (const id of this.#running()) {
      const path = this.#layout.log(id);
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      fastest = Math.max(fastest, size - (this.#sizes.get(id) ?? 0));
      // Its conmon may just be coming or going: then there is nothing to rotate.
      const rotated = await rotateLog(this.#layout.bundle(id), path, this.#limits).catch(() => false);
      sizes.set(id, rotated ? 0 : size);
    }
    this.#sizes = sizes;
    return nextLook(fastest, elapsed, this.#limits);
  }

  #running(): readonly string[] {
    try {
      return readdirSync(this.#layout.bundles).filter((id) => readExit(this.#layout, id) === undefined);
    } catch {
      // The state folder is gone, and with it the containers.
      return [];
    }
  }
}
