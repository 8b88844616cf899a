/** A mount that stands, and how many callers use it. */
export interface MountUse {
  /** 0 for one that an earlier process made and nobody has asked for yet. */
  uses: number;
  readonly target: string;
  readOnly: boolean;
}

/** Counts the users of each snapshot's mount. */
export class MountUses {
  readonly #byKey = new Map<string, MountUse>();

  get(key: string): MountUse | undefined {
    return this.#byKey.get(key);
  }

  /** True while somebody who asked for the mount has not given it back. */
  isUsed(key: string): boolean {
    return (this.#byKey.get(key)?.uses ?? 0) > 0;
  }

  /** Notes a mount that nobody uses yet. */
  add(key: string, target: string, readOnly: boolean): MountUse {
    const use = { uses: 0, target, readOnly };
    this.#byKey.set(key, use);
    return use;
  }

  /** One user less; true when nobody is left, so that the caller unmounts and {@link MountUses.drop}s it. */
  leave(key: string): boolean {
    const use = this.#byKey.get(key);
    if (!use) return false;
    use.uses = Math.max(0, use.uses - 1);
    return use.uses === 0;
  }

  drop(key: string): void {
    this.#byKey.delete(key);
  }
}
