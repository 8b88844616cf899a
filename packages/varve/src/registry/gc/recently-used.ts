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

  add(digest: Digest): void {
    this.#current.add(digest);
    if (this.#current.size >= maxRemembered) this.turn(0);
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
