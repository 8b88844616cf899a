import { constants } from 'node:fs';
import { close, openat2, openFlags, resolveFlags } from './files.ts';

const flags = openFlags.path | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Whether a relative path leads to a folder below another without a link on any part of the way (openat2(2),
 * RESOLVE_NO_SYMLINKS). What is then done by the path stays below, as long as nobody changes the tree.
 * @param dirfd of the folder above
 */
export function isFolderBeneath(dirfd: number, path: Uint8Array): boolean {
  const fd = openat2(dirfd, Buffer.from(path), flags, 0, resolveFlags.beneath | resolveFlags.noSymlinks);
  if (fd < 0) return false;
  close(fd);
  return true;
}
