import type { Digest } from '../../oci/index.ts';

const maxRemembered = 200_000;

/**
 * Blobs that a client has just been told are here. It will name them in a manifest without sending them again, so
 * the collector leaves them alone for a time. Two generations: exact enough, and one Set insert a request.
 */
export class RecentlyUsed {
  readonly #startedAt = Date.now();
  #current = new Set<Digest>();
  #previous = new Set<Digest>();
  #turnedAt = Date.now();
  readonly #new = new Set<Digest>();
  readonly #shared: boolean;

  /** @param shared whether {@link RecentlyUsed.takeNew} will be called. */
  constructor(shared = false) {
    this.#shared = shared;
  }

  add(digest: Digest): void {
    this.#current.add(digest);
    if (this.#shared) this.#new.add(digest);
    if (this.#current.size >= maxRemembered) this.turn(0);
  }

  /** Those that came since the last call, for records that other servers read, too. */
  takeNew(): Digest[] {
    const taken = [...this.#new];
    this.#new.clear();
    return taken;
  }

  /** Whether the blob was used within `graceMs`. Before the server has run that long, nothing is known: yes. */
  has(digest: Digest, graceMs: number): boolean {
    if (graceMs <= 0) return false;
    if (Date.now() - this.#startedAt < graceMs) return true;
    return this.#current.has(digest) || this.#previous.has(digest);
  }

  /** Forgets what is older than one to two times `graceMs`. */
  turn(graceMs: number): void {
    if (Date.now() - this.#turnedAt < graceMs) return;
    this.#previous = this.#current;
    this.#current = new Set();
    this.#turnedAt = Date.now();
  }
}
