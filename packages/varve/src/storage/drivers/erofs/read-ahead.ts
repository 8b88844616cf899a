import { diskReadAhead, setFilesystemReadAhead } from '../../../linux/index.ts';

/** KiB; what the kernel gives a file system that says nothing (VM_READAHEAD_PAGES), as EROFS on a file does not. */
const kernelDefault = 128;
/**
 * KiB. As much at a time as the kernel reads ahead it also keeps together in the page cache, and finds faster there: 4 KiB at
 * random places of a cached file of 512 MiB were read at 0.73 of ext4's speed with 128 KiB, 0.99 with 512. With 2 MiB
 * and more the first read of the file took longer.
 */
const most = 512;

/** A mount of many layers must not wait: setting it takes 0.1 ms a layer, more than the mount. */
const delayMs = 20;

/**
 * Lets the kernel read ahead in layers as it does on the disk they lie on, if that is set to more than the kernel's default;
 * soon after the mount, one layer at a time.
 */
export class ReadAhead {
  readonly #isMounted: (target: string) => boolean;
  readonly #waiting = new Set<string>();
  #disk: number | undefined;
  #isDue = false;

  /** @param isMounted whether a layer still is, when its turn comes. */
  constructor(isMounted: (target: string) => boolean) {
    this.#isMounted = isMounted;
  }

  /**
   * @param target where a layer is mounted.
   * @param tar a file on the disk, which is the same for all layers.
   */
  raise(target: string, tar: string): void {
    this.#disk ??= diskReadAhead(tar) ?? kernelDefault;
    if (this.#disk <= kernelDefault) return;
    this.#waiting.add(target);
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => this.#next(), delayMs).unref();
  }

  #next(): void {
    const [target] = this.#waiting;
    this.#isDue = target !== undefined;
    if (target === undefined) return;
    this.#waiting.delete(target);
    try {
      if (this.#isMounted(target))
        setFilesystemReadAhead(target, Math.min(this.#disk ?? kernelDefault, most));
    } catch {
      // The layer was removed meanwhile. Only speed depends on it, so that what cannot be set stays.
    }
    setTimeout(() => this.#next()).unref();
  }
}
