import { HeldMounts } from '../../tree/held-mounts.ts';
import { layout } from './layout.ts';
import { type Backing, isIndexMounted, mountIndex } from './mount-index.ts';
import { ReadAhead } from './read-ahead.ts';

/**
 * The mounts of layers' indexes: one a layer, shared by all stacks that hold it, so that they share its cached pages;
 * gone with the last of them.
 */
export class LayerMounts {
  readonly #held = new HeldMounts();
  readonly #backing: Backing;
  readonly #readAhead = new ReadAhead(isIndexMounted);

  constructor(backing: Backing) {
    this.#backing = backing;
  }

  /** Notes a mount that an earlier process made, and its user; {@link LayerMounts.trim} ends it if there is none. */
  adopt(path: string, user?: string): void {
    this.#held.adopt(layout(path).diff, user);
  }

  /** The users of all layers. */
  get users(): ReadonlySet<string> {
    return this.#held.users;
  }

  /**
   * Mounts a layer if it is not, and keeps it so until the user {@link LayerMounts.release}s it.
   * @param ready called before it is mounted: the last moment at which the index may change.
   */
  async hold(user: string, path: string, ready: () => void): Promise<void> {
    const { index, tar, diff: target } = layout(path);
    await this.#held.hold(user, {
      target,
      isMounted: () => isIndexMounted(target),
      mount: () => {
        ready();
        mountIndex({ index, tar, target }, this.#backing);
        this.#readAhead.raise(target, tar);
      },
    });
  }

  /** Ends a user's hold on all layers; unmounts those that nobody else holds. */
  async release(user: string): Promise<void> {
    await this.#held.release(user);
  }

  /** Unmounts what nobody holds. */
  async trim(): Promise<void> {
    await this.#held.trim();
  }
}
