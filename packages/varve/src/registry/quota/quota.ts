import type { MetadataStore, QuotaLimit } from '../metadata/index.ts';
import { overQuota } from '../metadata/index.ts';
import { limitsOf, type QuotaRule } from './limits.ts';

/** Reserved beyond what is needed where an upload does not tell its length, so that not every chunk asks. */
const stepBytes = 8 * 1024 * 1024;

/**
 * Who may hold how much. What uploads will need is reserved when it is known, so that a push over quota fails before its
 * bytes are sent; what counts in the end is checked in the transaction that records a blob. Reservations are of this
 * process: nodes that share a database each know their own, and the transaction still lets nobody over.
 */
export class Quota {
  readonly #rules: readonly QuotaRule[];
  readonly #metadata: MetadataStore;
  readonly #reserved = new Map<string, number>();

  constructor(rules: readonly QuotaRule[], metadata: MetadataStore) {
    this.#rules = rules;
    this.#metadata = metadata;
  }

  /** The limits that a repository is under; empty when none. */
  limitsOf(repository: string): readonly QuotaLimit[] {
    return this.#rules.length === 0 ? [] : limitsOf(this.#rules, repository);
  }

  /** Bytes that running uploads have reserved under a limit. */
  reserved(limit: Pick<QuotaLimit, 'scope' | 'name'>): number {
    return this.#reserved.get(keyOf(limit)) ?? 0;
  }

  /** A reservation of nothing yet, for one upload. */
  reservation(repository: string): Reservation {
    return new Reservation(this.limitsOf(repository), {
      take: (limits, bytes) => this.#take(limits, bytes),
      give: (limits, bytes) => this.#give(limits, bytes),
    });
  }

  async #take(limits: readonly QuotaLimit[], bytes: number): Promise<void> {
    // Counted before the question is answered: two that ask at once must not both get the last bytes.
    this.#add(limits, bytes);
    try {
      for (const limit of limits) {
        const used = await this.#metadata.usedBytes(limit.scope, limit.name);
        const others = this.reserved(limit) - bytes;
        if (used + others + bytes > limit.bytes) throw overQuota(limit, used + others, bytes);
      }
    } catch (error) {
      this.#give(limits, bytes);
      throw error;
    }
  }

  #give(limits: readonly QuotaLimit[], bytes: number): void {
    this.#add(limits, -bytes);
  }

  #add(limits: readonly QuotaLimit[], bytes: number): void {
    for (const limit of limits) {
      const key = keyOf(limit);
      const total = (this.#reserved.get(key) ?? 0) + bytes;
      if (total > 0) this.#reserved.set(key, total);
      else this.#reserved.delete(key);
    }
  }
}

interface Pool {
  take(limits: readonly QuotaLimit[], bytes: number): Promise<void>;
  give(limits: readonly QuotaLimit[], bytes: number): void;
}

/** What one upload has reserved. It is settled by recording the blob with {@link Reservation.limits} and released then. */
export class Reservation implements Disposable {
  readonly limits: readonly QuotaLimit[];
  readonly #pool: Pool;
  #bytes = 0;

  constructor(limits: readonly QuotaLimit[], pool: Pool) {
    this.limits = limits;
    this.#pool = pool;
  }

  /**
   * Has `bytes` reserved in all; nothing happens when they are.
   * @throws RegistryError `DENIED` when a limit has not so many left.
   */
  async atLeast(bytes: number): Promise<void> {
    const more = bytes - this.#bytes;
    if (this.limits.length === 0 || more <= 0) return;
    await this.#pool.take(this.limits, more);
    this.#bytes += more;
  }

  /** Passes chunks on, with room reserved for all that has passed. @param start bytes before the first chunk. */
  through(chunks: AsyncIterable<Uint8Array>, start: number): AsyncIterable<Uint8Array> {
    return this.limits.length === 0 ? chunks : this.#reserving(chunks, start);
  }

  async *#reserving(chunks: AsyncIterable<Uint8Array>, start: number): AsyncIterable<Uint8Array> {
    let total = start;
    for await (const chunk of chunks) {
      total += chunk.length;
      if (total > this.#bytes) await this.#stepTo(total);
      yield chunk;
    }
  }

  async #stepTo(total: number): Promise<void> {
    try {
      await this.atLeast(total + stepBytes);
    } catch {
      // Near the limit a whole step may be too much where these bytes are not.
      await this.atLeast(total);
    }
  }

  release(): void {
    this.#pool.give(this.limits, this.#bytes);
    this.#bytes = 0;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function keyOf({ scope, name }: Pick<QuotaLimit, 'scope' | 'name'>): string {
  return `${scope} ${name}`;
}
