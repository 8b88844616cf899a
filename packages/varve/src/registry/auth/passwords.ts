import type { RobotRecords } from '../metadata/index.ts';
import { Attempts } from './attempts.ts';
import { Bcrypt } from './bcrypt.ts';
import type { Htpasswd } from './htpasswd.ts';
import { robotPrefix, verifyRobot } from './robots.ts';
import { VerifiedCache } from './verified-cache.ts';

// The requests of a push come within this. A changed or removed password is another key of the cache.
const cacheMs = 60_000;
const maxPasswordBytes = 1024;

/** Names with passwords: users of htpasswd, and robots with their secrets. */
export class Passwords implements AsyncDisposable {
  readonly #htpasswd: Htpasswd | undefined;
  readonly #robots: RobotRecords | undefined;
  readonly #bcrypt = new Bcrypt();
  readonly #attempts: Attempts;
  readonly #verified = new VerifiedCache(cacheMs);

  constructor(
    htpasswd: Htpasswd | undefined,
    robots: RobotRecords | undefined,
    attempts: Attempts = new Attempts(),
  ) {
    this.#htpasswd = htpasswd;
    this.#robots = robots;
    this.#attempts = attempts;
  }

  /**
   * Whether a password is right. An unknown user takes as long as a wrong password.
   * @throws RegistryError `TOOMANYREQUESTS` after too many wrong ones, or when too many are asked at once
   */
  async verify(user: string, password: string, remote: string | undefined): Promise<boolean> {
    if (user.startsWith(robotPrefix)) {
      this.#attempts.check(remote, user);
      const record = await this.#robots?.find(user.slice(robotPrefix.length));
      return this.#told(verifyRobot(record, password), remote, user);
    }
    if (!this.#htpasswd || Buffer.byteLength(password) > maxPasswordBytes) {
      this.#attempts.check(remote, user);
      return this.#told(false, remote, user);
    }
    const hash = this.#htpasswd.hash(user);
    const parts = [hash, user, password];
    if (this.#verified.has(...parts)) return true;
    this.#attempts.check(remote, user);
    const right = await this.#verified.check(parts, () => this.#bcrypt.compare(password, hash));
    // The decoy of a user that is not there has a hash, too.
    return this.#told(right && this.#htpasswd.has(user), remote, user);
  }

  /** Changes with a user's password; undefined when there is no such user. */
  fingerprint(user: string): string | undefined {
    return this.#htpasswd?.fingerprint(user);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bcrypt[Symbol.asyncDispose]();
  }

  #told(right: boolean, remote: string | undefined, user: string): boolean {
    if (right) this.#attempts.succeeded(remote, user);
    else this.#attempts.failed(remote, user);
    return right;
  }
}
