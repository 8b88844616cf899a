import { createHash } from 'node:crypto';
import type { Identity } from './access-control.ts';
import { leewaySeconds } from './verify-jwt.ts';

interface Entry {
  readonly identity: Identity;
  /** Milliseconds since 1970. */
  readonly until: number;
}

const maxEntries = 10_000;
// Keys can be withdrawn: a token is verified anew after this time.
const maxAgeMs = 60_000;

/** Tokens that were verified a moment ago, so that the requests of one push cost one signature. */
export class TokenCache {
  readonly #entries = new Map<string, Entry>();

  async get(
    token: string,
    verify: () => Promise<{ readonly identity: Identity; readonly expires: number }>,
  ): Promise<Identity> {
    const name = createHash('sha256').update(token).digest('base64url');
    const kept = this.#entries.get(name);
    const now = Date.now();
    if (kept && kept.until > now) return kept.identity;
    this.#entries.delete(name);
    const { identity, expires } = await verify();
    if (this.#entries.size >= maxEntries) this.#entries.delete(this.#entries.keys().next().value as string);
    this.#entries.set(name, {
      identity,
      until: Math.min(now + maxAgeMs, (expires + leewaySeconds) * 1000),
    });
    return identity;
  }
}
