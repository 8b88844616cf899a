import { glob } from '../../base/index.ts';
import { RegistryError } from '../errors.ts';

/** One line of `http.ratelimit`: how often one client may do so. */
export interface RateRule {
  /** HTTP methods; all when empty. */
  readonly methods: readonly string[];
  /** Glob of repositories; requests that name none match `**` only. */
  readonly repositories: string;
  /** Requests a second in the long run. */
  readonly rate: number;
  /** Requests at once after a pause. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

// A bucket that is full again says nothing; so many clients are remembered between two sweeps.
const maxBuckets = 100_000;

/**
 * Token buckets for each client and rule. A client is who it says it is when it proved that, and its address otherwise, so
 * that no one uses up another's share by naming it.
 */
export class RateLimit {
  readonly #rules: readonly RateRule[];
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  /** @param now milliseconds, for tests. */
  constructor(rules: readonly RateRule[], now: () => number = () => performance.now()) {
    this.#rules = rules;
    this.#now = now;
  }

  /**
   * Counts a request under every rule that is about it.
   * @throws RegistryError `TOOMANYREQUESTS` (429) with `Retry-After` (RFC 9110 section 10.2.3)
   */
  take(client: string, method: string, repository: string): void {
    for (const [index, rule] of this.#rules.entries()) {
      if (rule.methods.length > 0 && !rule.methods.includes(method)) continue;
      if (rule.repositories !== '**' && !(repository !== '' && glob(rule.repositories).matches(repository)))
        continue;
      const wait = this.#wait(`${index} ${client}`, rule);
      if (wait <= 0) continue;
      const seconds = Math.ceil(wait / 1000);
      throw new RegistryError('TOOMANYREQUESTS', {
        message: `too many requests: ${rule.rate} a second are allowed; try again in ${seconds} s`,
        headers: { 'Retry-After': String(seconds) },
      });
    }
  }

  /** Takes a token; milliseconds until there is one when there is none. */
  #wait(key: string, { rate, burst }: RateRule): number {
    const now = this.#now();
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      if (this.#buckets.size >= maxBuckets) this.#forgetFull(now);
      bucket = { tokens: burst, at: now };
      this.#buckets.set(key, bucket);
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * rate);
    bucket.at = now;
    if (bucket.tokens < 1) return ((1 - bucket.tokens) / rate) * 1000;
    bucket.tokens--;
    return 0;
  }

  #forgetFull(now: number): void {
    for (const [key, { tokens, at }] of this.#buckets) {
      const { rate, burst } = this.#rules[Number.parseInt(key, 10)] as RateRule;
      if (tokens + ((now - at) / 1000) * rate >= burst) this.#buckets.delete(key);
    }
    // All of them are at their limit: an attack from everywhere. Starting afresh is better than remembering without end.
    if (this.#buckets.size >= maxBuckets) this.#buckets.clear();
  }
}
