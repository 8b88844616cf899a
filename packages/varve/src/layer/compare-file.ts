import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { openat2, openFlags, resolveFlags } from '../linux/index.ts';
import { pathBytes } from './names.ts';
import type { TarEntry } from './tar/entry.ts';

/** What a file of the layer must be; the digest is of its content. */
export interface Wanted {
  readonly entry: TarEntry;
  readonly digest: string;
}

const chunk = 256 << 10;

/** A descriptor of a folder, for {@link compareFile}. */
export function openFolder(path: string): number {
  return openSync(path, openFlags.path | constants.O_DIRECTORY);
}

/**
 * Compares one file below an open folder with what the layer has.
 * @returns why it differs; undefined when it does not.
 */
export function compareFile(root: number, path: string, { entry, digest }: Wanted): string | undefined {
  const name = pathBytes(path);
  const inside = resolveFlags.inRoot | resolveFlags.noMagicLinks;
  if (entry.type === 'symlink') {
    const link = openat2(root, name, openFlags.path | constants.O_NOFOLLOW, 0, inside);
    return link < 0 ? 'is not there' : closing(link, () => undefined);
  }
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = openat2(root, name, flags, 0, inside);
  if (fd < 0) return 'is not there';
  return closing(fd, () => {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return 'is not a regular file';
    // A hard link is the file that it links to, which is compared under its own name.
    if (entry.type === 'hardlink') return undefined;
    if (stat.size !== entry.size) return `has ${stat.size} bytes, not ${entry.size}`;
    if ((stat.mode & 0o7777) !== entry.mode) return 'has another mode';
    if (stat.uid !== entry.uid || stat.gid !== entry.gid) return 'has another owner';
    return hashOf(fd) === digest ? undefined : 'has other bytes';
  });
}

function closing<T>(fd: number, work: () => T): T {
  try {
    return work();
  } finally {
    closeSync(fd);
  }
}

function hashOf(fd: number): string {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(chunk);
  for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
    hash.update(buffer.subarray(0, count));
  return hash.digest('hex');
}
