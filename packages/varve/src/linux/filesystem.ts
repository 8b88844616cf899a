import { closeSync, openSync, statfsSync } from 'node:fs';
import { background, declare, systemError } from './libc.ts';

const sysSyncfs = declare<(fd: number) => number>('int syncfs(int fd)');

/** statfs(2) f_type, with the names `docker info` prints. */
const names = new Map<number, string>([
  [0xef53, 'extfs'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0xf2f52010, 'f2fs'],
  [0xca451a4e, 'bcachefs'],
  [0x65735546, 'fuse'],
  [0x6969, 'nfs'],
  [0x01021997, '9p'],
  [0xe0f5e1e2, 'erofs'],
  [0x73717368, 'squashfs'],
  [0x61756673, 'aufs'],
  [0xf15f, 'ecryptfs'],
]);

/** The file system's name (`extfs`, `xfs`, …), or its magic number in hex when unknown. statfs(2) */
export function filesystemName(path: string): string {
  const { type } = statfsSync(path);
  return names.get(type >>> 0) ?? `0x${(type >>> 0).toString(16)}`;
}

/**
 * A watch over the file system that holds `path`: {@link FilesystemSync.sync} writes back all of it and fails when any
 * write since the opening failed (Linux 5.8), which a descriptor opened afterwards would not tell. syncfs(2)
 */
export class FilesystemSync implements Disposable {
  readonly #path: string;
  #fd: number;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'r');
  }

  /** On another thread. @throws VarveError with the errno's name as code. */
  async sync(): Promise<void> {
    const { result, errno } = await background(sysSyncfs, this.#fd);
    if (result < 0) throw systemError('syncfs', this.#path, errno);
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }
}
