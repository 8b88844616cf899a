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

  /** True for a mount point that somebody holds. */
  has(target: string): boolean {
    return (this.#users.get(target)?.size ?? 0) > 0;
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
    for (const [target, users] of this.#users) {
      if (users.has(user)) await this.#leave(target, user);
    }
  }

  /** Unmounts what nobody holds; gives the mount points. */
  async trim(): Promise<string[]> {
    const ended: string[] = [];
    for (const target of [...this.#users.keys()])
      if (await this.#leave(target, undefined)) ended.push(target);
    return ended;
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
