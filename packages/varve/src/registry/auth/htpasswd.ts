import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Logger } from 'pino';
import { VarveError } from '../../base/index.ts';

// bcrypt doubles its work with each step; 14 is a second, and more would be a way to stop the server.
const maxCost = 14;
const defaultCost = 10;
const maxFileBytes = 16 * 1024 * 1024;
const lookEveryMs = 1000;
const bcryptPattern = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

interface Loaded {
  readonly hashes: ReadonlyMap<string, string>;
  /** A hash that no password has, for users that do not exist: they take as long as the others. */
  readonly decoy: string;
  readonly stamp: string;
  /** Counts the readings of the file. */
  readonly generation: number;
}

/**
 * Users of a file of Apache's htpasswd, bcrypt only (`htpasswd -B`). A changed file is read again within a second; one
 * that became unreadable leaves the users as they were.
 */
export class Htpasswd {
  readonly #path: string;
  readonly #logger: Logger;
  #loaded: Loaded;
  #lookedAt = 0;

  /** @throws VarveError `invalid` (`HTPASSWD_UNREADABLE`) */
  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
    this.#loaded = this.#read(1);
  }

  /** Changes whenever the file was read anew. */
  get generation(): number {
    return this.#current().generation;
  }

  /** The hash to compare with; a decoy for a user that is not there. */
  hash(user: string): string {
    const { hashes, decoy } = this.#current();
    return hashes.get(user) ?? decoy;
  }

  has(user: string): boolean {
    return this.#current().hashes.has(user);
  }

  /** Changes with the user's password; undefined when there is no such user. */
  fingerprint(user: string): string | undefined {
    const hash = this.#current().hashes.get(user);
    return hash && createHash('sha256').update(hash).digest('base64url').slice(0, 22);
  }

  #current(): Loaded {
    const now = performance.now();
    if (now - this.#lookedAt < lookEveryMs) return this.#loaded;
    this.#lookedAt = now;
    try {
      if (stampOf(this.#path) !== this.#loaded.stamp) {
        this.#loaded = this.#read(this.#loaded.generation + 1);
        this.#logger.info({ path: this.#path, users: this.#loaded.hashes.size }, 'read htpasswd again');
      }
    } catch (error) {
      this.#logger.error(
        { err: error, path: this.#path },
        'cannot read htpasswd: the users stay as they were',
      );
    }
    return this.#loaded;
  }

  #read(generation: number): Loaded {
    let text: string;
    let stamp: string;
    try {
      stamp = stampOf(this.#path);
      if (statSync(this.#path).size > maxFileBytes) throw new Error('larger than 16 MiB');
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      throw new VarveError(
        'invalid',
        'HTPASSWD_UNREADABLE',
        `cannot read auth.htpasswd.path: ${(error as Error).message}`,
        { subject: this.#path, cause: error, hint: 'make one with `htpasswd -Bc FILE USER`' },
      );
    }
    const { hashes, problems } = parseHtpasswd(text);
    for (const problem of problems) this.#logger.warn({ path: this.#path }, problem);
    const costs = [...hashes.values()].map((hash) => Number(bcryptPattern.exec(hash)?.[1]));
    const cost = String(costs.length === 0 ? defaultCost : Math.max(...costs)).padStart(2, '0');
    return { hashes, decoy: `$2b$${cost}$${'.'.repeat(53)}`, stamp, generation };
  }
}

/** Reads the lines `user:hash`; what cannot be used is left out and told with its line. */
export function parseHtpasswd(text: string): {
  readonly hashes: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
} {
  const hashes = new Map<string, string>();
  const problems: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const [user, hash] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    const cost = bcryptPattern.exec(hash)?.[1];
    if (colon < 1) problems.push(`line ${index + 1} is not user:hash`);
    else if (cost === undefined) problems.push(`line ${index + 1}: not a bcrypt hash (htpasswd -B)`);
    else if (Number(cost) > maxCost || Number(cost) < 4) {
      problems.push(`line ${index + 1}: bcrypt cost ${Number(cost)} is not between 4 and ${maxCost}`);
    } else hashes.set(user, hash);
  }
  return { hashes, problems };
}

function stampOf(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}
