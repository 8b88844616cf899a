import type { Digest } from '../../oci/index.ts';
import type { MetadataStore, Pull } from '../metadata/index.ts';

const maxWaiting = 50_000;

/**
 * When tags were pulled last, written in batches: a pull must not cost a write. What a crash loses is a minute of it, and
 * retention counts in days.
 */
export class Pulls {
  readonly #metadata: MetadataStore;
  readonly #waiting = new Map<string, Pull>();

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata;
  }

  add(repository: string, reference: { readonly tag: string } | { readonly digest: Digest }): void {
    if (this.#waiting.size >= maxWaiting) return;
    const key = `${repository} ${'tag' in reference ? reference.tag : reference.digest}`;
    this.#waiting.set(key, { repository, reference, at: Date.now() });
  }

  /** Writes what has come together. */
  async flush(): Promise<void> {
    if (this.#waiting.size === 0) return;
    const pulls = [...this.#waiting.values()];
    this.#waiting.clear();
    await this.#metadata.recordPulls(pulls);
  }
}
