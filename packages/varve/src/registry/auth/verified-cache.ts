import { createHmac, randomBytes } from 'node:crypto';

const maxEntries = 10_000;

/**
 * Credentials that were found right a moment ago, so that the twenty requests of one push cost one bcrypt. Kept as a
 * keyed hash, for a minute; concurrent checks of the same credentials share one.
 */
export class VerifiedCache {
  readonly #key = randomBytes(32);
  readonly #lifetimeMs: number;
  readonly #entries = new Map<string, number>();
  readonly #running = new Map<string, Promise<boolean>>();

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs;
  }

  /** Whether these were right within the lifetime. */
  has(...parts: readonly string[]): boolean {
    return (this.#entries.get(this.#name(parts)) ?? 0) > performance.now();
  }

  /** Asks `verify` once for all who wait, and remembers a yes. */
  async check(parts: readonly string[], verify: () => Promise<boolean>): Promise<boolean> {
    const name = this.#name(parts);
    const running = this.#running.get(name);
    if (running) return await running;
    const mine = verify();
    this.#running.set(name, mine);
    try {
      const right = await mine;
      if (right) this.#remember(name);
      return right;
    } finally {
      this.#running.delete(name);
    }
  }

  #remember(name: string): void {
    if (this.#entries.size >= maxEntries) this.#entries.clear();
    this.#entries.set(name, performance.now() + this.#lifetimeMs);
  }

  #name(parts: readonly string[]): string {
    return createHmac('sha256', this.#key).update(parts.join('\0')).digest('base64url');
  }
}
