import { readFileSync, statSync } from 'node:fs';
import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { VarveError } from '../../base/index.ts';
import { fetchJson } from './fetch-json.ts';
import { keysOfJwks, type TrustedKey } from './trusted-keys.ts';

/** Where keys come from. */
export interface KeySource {
  /** The keys of this name, or all when the token names none. */
  find(kid: string | undefined, algorithm: string): readonly KeyObject[] | Promise<readonly KeyObject[]>;
}

// A token that names no key is tried with each, so there must be few.
const maxUnnamed = 16;

/** Picks keys by name and algorithm. A name is compared, never used to look anything up: a path in it is harmless. */
function pickKeys(keys: readonly TrustedKey[], kid: string | undefined, algorithm: string): KeyObject[] {
  const fitting = keys.filter((key) => key.algorithm === undefined || key.algorithm === algorithm);
  const found =
    kid === undefined ? fitting.slice(0, maxUnnamed) : fitting.filter(({ ids }) => ids.includes(kid));
  return found.map(({ key }) => key);
}

/** Keys that are known from the start. */
export class FixedKeys implements KeySource {
  readonly #keys: readonly TrustedKey[];

  constructor(keys: readonly TrustedKey[]) {
    this.#keys = keys;
  }

  find(kid: string | undefined, algorithm: string): KeyObject[] {
    return pickKeys(this.#keys, kid, algorithm);
  }
}

const lookEveryMs = 1000;

/** A JWK set in a file, read again when it changed. */
export class FileKeys implements KeySource {
  readonly #path: string;
  readonly #logger: Logger;
  #keys: readonly TrustedKey[];
  #stamp: string;
  #lookedAt = performance.now();

  /** @throws VarveError `invalid` (`KEY_INVALID`) */
  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
    [this.#keys, this.#stamp] = this.#read();
  }

  find(kid: string | undefined, algorithm: string): KeyObject[] {
    const now = performance.now();
    if (now - this.#lookedAt >= lookEveryMs) {
      this.#lookedAt = now;
      this.#refresh();
    }
    return pickKeys(this.#keys, kid, algorithm);
  }

  #refresh(): void {
    try {
      if (stampOf(this.#path) === this.#stamp) return;
      [this.#keys, this.#stamp] = this.#read();
      this.#logger.info({ path: this.#path, keys: this.#keys.length }, 'read keys again');
    } catch (error) {
      this.#logger.error({ err: error, path: this.#path }, 'cannot read keys: they stay as they were');
    }
  }

  #read(): [readonly TrustedKey[], string] {
    try {
      const stamp = stampOf(this.#path);
      return [keysOfJwks(JSON.parse(readFileSync(this.#path, 'utf8'))), stamp];
    } catch (error) {
      throw new VarveError(
        'invalid',
        'KEY_INVALID',
        `cannot use ${this.#path}: ${(error as Error).message}`,
        {
          subject: this.#path,
          cause: error,
        },
      );
    }
  }
}

function stampOf(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}

/** How long fetched keys are good, how often an unknown name may ask for them, how long they serve when asking fails. */
const maxAgeMs = 10 * 60_000;
const cooldownMs = 30_000;
const maxStaleMs = 24 * 3_600_000;

/**
 * A JWK set behind a URL: fetched when first needed and every ten minutes; a name that is not in it asks once more, at
 * most every thirty seconds. When the server is away, what is known serves for a day.
 */
export class RemoteKeys implements KeySource {
  readonly #locate: () => Promise<URL>;
  readonly #logger: Logger;
  readonly #now: () => number;
  #keys: readonly TrustedKey[] = [];
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(locate: () => Promise<URL>, logger: Logger, now: () => number = () => performance.now()) {
    this.#locate = locate;
    this.#logger = logger;
    this.#now = now;
  }

  /** @throws VarveError `unavailable` when nothing could be fetched yet */
  async find(kid: string | undefined, algorithm: string): Promise<KeyObject[]> {
    if (this.#now() - this.#fetchedAt > maxAgeMs) await this.#refresh();
    const found = pickKeys(this.#keys, kid, algorithm);
    if (found.length > 0 || this.#now() - this.#triedAt < cooldownMs) return found;
    await this.#refresh();
    return pickKeys(this.#keys, kid, algorithm);
  }

  async #refresh(): Promise<void> {
    if (this.#running === undefined && this.#now() - this.#triedAt < cooldownMs) {
      if (this.#now() - this.#fetchedAt > maxStaleMs)
        throw new VarveError(
          'unavailable',
          'KEYS_UNAVAILABLE',
          'the keys of the token server are not available',
        );
      return;
    }
    this.#running ??= this.#fetch().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #fetch(): Promise<void> {
    this.#triedAt = this.#now();
    try {
      const keys = keysOfJwks(await fetchJson(await this.#locate()));
      this.#keys = keys;
      this.#fetchedAt = this.#now();
    } catch (error) {
      this.#logger.error({ err: error }, 'cannot fetch keys of tokens');
      if (this.#now() - this.#fetchedAt > maxStaleMs) throw error;
    }
  }
}
