import { close, constants, open, read } from 'node:fs';
import type { OpenBlob } from '../types.ts';

/** A file opened for reading at positions. Without FileHandle, which costs more than the read of a small blob. */
export class BlobFile implements OpenBlob {
  readonly #descriptor: number;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Follows no link. @throws Error of open(2) */
  static open(path: string): Promise<BlobFile> {
    return new Promise((resolve, reject) => {
      open(path, constants.O_RDONLY | constants.O_NOFOLLOW, (error, descriptor) => {
        if (error) reject(error);
        else resolve(new BlobFile(descriptor));
      });
    });
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#descriptor, buffer, 0, buffer.length, position, (error, count) => {
        if (error) reject(error);
        else resolve(count);
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      close(this.#descriptor, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }
}
