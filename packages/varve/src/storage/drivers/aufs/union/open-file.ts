import { constants, openSync } from 'node:fs';
import { close, closeBacking, openBacking } from '../../../../linux/index.ts';

/**
 * A file while the kernel has it open, however often: one descriptor for all. The kernel wants every open of an inode to
 * be of one kind, all passed through to one backing file or none (fs/fuse/iomode.c), so the first one decides.
 */
export class OpenFile {
  readonly #connection: number;
  #fd: number;
  #writable: boolean;
  /** The kernel's number of the backing file; 0 when we read and write. */
  readonly backing: number;
  uses = 0;
  /** Opens that may write. */
  writers = 0;

  /** @param fd becomes this object's. */
  constructor(connection: number, fd: number, writable: boolean, passthrough: boolean) {
    this.#connection = connection;
    this.#fd = fd;
    this.#writable = writable;
    this.backing = passthrough ? Math.max(0, openBacking(connection, fd)) : 0;
  }

  get fd(): number {
    return this.#fd;
  }

  /** Makes {@link OpenFile.fd} good for writing too. */
  makeWritable(): void {
    if (this.#writable) return;
    this.replace(openSync(`/proc/self/fd/${this.#fd}`, constants.O_RDWR), true);
  }

  /** Goes on with another descriptor, of the copy in the writable branch. */
  replace(fd: number, writable: boolean): void {
    close(this.#fd);
    this.#fd = fd;
    this.#writable = writable;
  }

  close(): void {
    // Fails when the mount is gone, and its backing files with it.
    if (this.backing > 0) closeBacking(this.#connection, this.backing);
    close(this.#fd);
  }
}
