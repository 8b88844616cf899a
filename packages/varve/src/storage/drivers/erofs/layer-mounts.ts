import { KeyedLock } from '../../../base/index.ts';
import { unmountInBackground } from '../../../linux/index.ts';
import { layout } from './layout.ts';
import { type Backing, isIndexMounted, mountIndex } from './mount-index.ts';

/**
 * The mounts of layers' indexes: one a layer, shared by all stacks that hold it, so that they share its cached pages;
 * gone with the last of them.
 */
export class LayerMounts {
  /** Users by the path of the layer's snapshot. */
  readonly #users = new Map<string, Set<string>>();
  readonly #locks = new KeyedLock();
  readonly #backing: Backing;

  constructor(backing: Backing) {
    this.#backing = backing;
  }

  /** Notes the user of a layer that an earlier process mounted. */
  adopt(user: string, path: string): void {
    this.#usersOf(path).add(user);
  }

  /** Notes a mount that an earlier process made; {@link LayerMounts.trim} ends it if nobody uses it. */
  adoptMount(path: string): void {
    this.#usersOf(path);
  }

  /** The users of all layers. */
  get users(): ReadonlySet<string> {
    return new Set([...this.#users.values()].flatMap((users) => [...users]));
  }

  /**
   * Mounts a layer if it is not, and keeps it so until the user {@link LayerMounts.release}s it.
   * @param ready called before it is mounted: the last moment at which the index may change.
   */
  async hold(user: string, path: string, ready: () => void): Promise<void> {
    await this.#locks.run(path, async () => {
      const users = this.#usersOf(path);
      users.add(user);
      const { index, tar, diff } = layout(path);
      if (isIndexMounted(diff)) return;
      ready();
      mountIndex({ index, tar, target: diff }, this.#backing);
    });
  }

  /** Ends a user's hold on all layers; unmounts those that nobody else holds. */
  async release(user: string): Promise<void> {
    const held = [...this.#users].filter(([, users]) => users.has(user));
    await Promise.all(held.map(async ([path]) => await this.#leave(path, user)));
  }

  /** Unmounts what nobody holds. */
  async trim(): Promise<void> {
    await Promise.all([...this.#users.keys()].map(async (path) => await this.#leave(path, undefined)));
  }

  async #leave(path: string, user: string | undefined): Promise<void> {
    await this.#locks.run(path, async () => {
      const users = this.#users.get(path);
      if (user !== undefined) users?.delete(user);
      if (!users || users.size > 0) return;
      this.#users.delete(path);
      // Stacks that other mount namespaces still have keep the file system by themselves.
      await unmountInBackground(layout(path).diff, { detach: true });
    });
  }

  #usersOf(path: string): Set<string> {
    const users = this.#users.get(path) ?? new Set<string>();
    this.#users.set(path, users);
    return users;
  }
}
