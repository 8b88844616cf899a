import { KeyedLock } from '../../base/index.ts';
import { unmountInBackground } from '../../linux/index.ts';

/** How what several users share is mounted. */
export interface SharedMount {
  readonly target: string;
  isMounted(): boolean;
  /** Called for the first user. */
  mount(): Promise<void> | void;
}

/** Mounts that several users share: made for the first of them, gone with the last. */
export class HeldMounts {
  /** Users by mount point. */
  readonly #users = new Map<string, Set<string>>();
  readonly #locks = new KeyedLock();

  /** Notes the user of what an earlier process mounted; without a user, {@link HeldMounts.trim} ends it. */
  adopt(target: string, user?: string): void {
    const users = this.#usersOf(target);
    if (user !== undefined) users.add(user);
  }

  /** The users of all mounts. */
  get users(): ReadonlySet<string> {
    return new Set([...this.#users.values()].flatMap((users) => [...users]));
  }

  /** Mounts it if it is not, and keeps it so until the user {@link HeldMounts.release}s what it holds. */
  async hold(user: string, shared: SharedMount): Promise<void> {
    await this.#locks.run(shared.target, async () => {
      this.#usersOf(shared.target).add(user);
      // An administrator may have unmounted it.
      if (!shared.isMounted()) await shared.mount();
    });
  }

  /** Ends all that a user holds; unmounts what nobody else does. */
  async release(user: string): Promise<void> {
    const held = [...this.#users].filter(([, users]) => users.has(user));
    await Promise.all(held.map(async ([target]) => await this.#leave(target, user)));
  }

  /** Unmounts what nobody holds; gives the mount points. */
  async trim(): Promise<string[]> {
    const targets = [...this.#users.keys()];
    const ended = await Promise.all(targets.map(async (target) => await this.#leave(target, undefined)));
    return targets.filter((_, at) => ended[at]);
  }

  async #leave(target: string, user: string | undefined): Promise<boolean> {
    return await this.#locks.run(target, async () => {
      const users = this.#users.get(target);
      if (user !== undefined) users?.delete(user);
      if (!users || users.size > 0) return false;
      this.#users.delete(target);
      // What still stands on it, in whatever mount namespace, keeps the file system by itself.
      return await unmountInBackground(target, { detach: true });
    });
  }

  #usersOf(target: string): Set<string> {
    const users = this.#users.get(target) ?? new Set<string>();
    this.#users.set(target, users);
    return users;
  }
}
