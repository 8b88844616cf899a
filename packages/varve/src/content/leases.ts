import type { Digest } from '../oci/index.ts';
import type { Lease } from './types.ts';

/**
 * Who holds which blob. Leases live in memory: they protect work in progress, and no work outlives the process
 * (what a crash leaves behind is unreferenced and therefore garbage).
 */
export class Leases {
  readonly #open = new Set<Set<Digest>>();
  /** What running collections must keep although its lease was released meanwhile. */
  readonly #collections = new Set<Set<Digest>>();

  lease(): Lease {
    const held = new Set<Digest>();
    this.#open.add(held);
    const release = (): void => {
      // The holder may have recorded a reference after a running collection read its roots.
      for (const kept of this.#collections) for (const digest of held) kept.add(digest);
      this.#open.delete(held);
    };
    return {
      add: (digest) => {
        held.add(digest);
        this.#open.add(held);
      },
      release,
      [Symbol.dispose]: release,
    };
  }

  /** Starts a collection: until `end`, nothing that is or was leased since counts as free. */
  beginCollection(): { readonly holds: (digest: Digest) => boolean; readonly end: () => void } {
    const kept = new Set<Digest>();
    this.#collections.add(kept);
    return {
      holds: (digest) => kept.has(digest) || [...this.#open].some((held) => held.has(digest)),
      end: () => void this.#collections.delete(kept),
    };
  }
}
