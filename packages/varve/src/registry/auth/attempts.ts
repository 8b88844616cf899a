import { RegistryError } from '../errors.ts';

interface Entry {
  failures: number;
  /** Value of the clock until which nothing more is tried. */
  blockedUntil: number;
  lastAt: number;
}

const forgetAfterMs = 15 * 60_000;
const maxEntries = 20_000;
const maxBlockMs = 60_000;
/** Wrong passwords before the first wait: of one user from one address, and of an address whoever it names. */
const freePerUser = 5;
const freePerAddress = 50;

/**
 * Slows guessing down: after a few wrong passwords each further one costs a wait that doubles to a minute. Waits are
 * of an address (an IPv6 network of 64 bits counts as one), never of a user everywhere: nobody can lock another out.
 */
export class Attempts {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;

  /** @param now a clock in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @throws RegistryError `TOOMANYREQUESTS` with Retry-After while the address has to wait */
  check(remote: string | undefined, user: string): void {
    const now = this.#now();
    const until = Math.max(...this.#keys(remote, user).map(([key]) => this.#get(key)?.blockedUntil ?? 0));
    if (until <= now) return;
    const seconds = Math.ceil((until - now) / 1000);
    throw new RegistryError('TOOMANYREQUESTS', {
      message: 'too many wrong credentials: wait before the next attempt',
      headers: { 'Retry-After': String(seconds) },
    });
  }

  failed(remote: string | undefined, user: string): void {
    const now = this.#now();
    for (const [key, free] of this.#keys(remote, user)) {
      const entry = this.#get(key) ?? { failures: 0, blockedUntil: 0, lastAt: now };
      entry.failures++;
      entry.lastAt = now;
      const beyond = entry.failures - free;
      if (beyond >= 0) entry.blockedUntil = now + Math.min(1000 * 2 ** Math.min(beyond, 10), maxBlockMs);
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      if (this.#entries.size > maxEntries) this.#entries.delete(this.#entries.keys().next().value as string);
    }
  }

  /** Right credentials: this user from this address starts anew. */
  succeeded(remote: string | undefined, user: string): void {
    const [own] = this.#keys(remote, user);
    if (own) this.#entries.delete(own[0]);
  }

  #keys(remote: string | undefined, user: string): (readonly [string, number])[] {
    const address = networkOf(remote ?? '');
    return [
      [`${address} ${user.slice(0, 256)}`, freePerUser],
      [address, freePerAddress],
    ];
  }

  #get(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry && this.#now() - entry.lastAt > forgetAfterMs) {
      this.#entries.delete(key);
      return undefined;
    }
    return entry;
  }
}

function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address.replace(/^::ffff:/, '');
  const [head = '', tail] = address.split('::');
  const before = head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return [...before, ...(tail === undefined ? [] : zeros), ...after].slice(0, 4).join(':');
}
