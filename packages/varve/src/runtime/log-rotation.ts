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

// A container that writes 50 MB/s overshoots by this much time; more often costs more than it saves.
const INTERVAL_MS = 2000;

/** Rotates the logs of all running containers, while it lives. It does not keep the process alive. */
export class LogRotator {
  readonly #layout: Layout;
  readonly #limits: LogLimits;
  readonly #timer: NodeJS.Timeout;
  #busy = false;

  constructor(layout: Layout, limits: LogLimits, intervalMs = INTERVAL_MS) {
    this.#layout = layout;
    this.#limits = limits;
    this.#timer = setInterval(() => {
      void this.#rotateAll();
    }, intervalMs);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #rotateAll(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (const id of readdirSync(this.#layout.bundles)) {
        if (readExit(this.#layout, id) !== undefined) continue;
        // Its conmon may just be coming or going: then there is nothing to rotate.
        await rotateLog(this.#layout.bundle(id), this.#layout.log(id), this.#limits).catch(() => false);
      }
    } catch {
      // The state folder is gone; so are the containers.
    } finally {
      this.#busy = false;
    }
  }
}
