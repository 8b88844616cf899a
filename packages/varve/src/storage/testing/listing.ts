import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { getXattr, listXattrs } from '../../linux/index.ts';

/** Each path of a tree (`/`, `/a`, `/a/b`) and all that can be seen of it, as text. */
export type Listing = ReadonlyMap<string, string>;

export interface ListingOptions {
  /** Leave out times: for trees that were made at different moments. */
  readonly ignoreTimes?: boolean;
}

function types(stat: ReturnType<typeof lstatSync>): string {
  if (!stat) return 'missing';
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'folder';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO()) return 'fifo';
  if (stat.isSocket()) return 'socket';
  return stat.isCharacterDevice() ? 'character device' : 'block device';
}

function xattrs(path: string): string[] {
  const names = listXattrs(path);
  if (typeof names === 'number') return [`errno ${-names}`];
  return names
    .map((name) => name.toString())
    .filter((name) => !name.startsWith('trusted.overlay.'))
    .sort()
    .map((name) => `${name}=${String(getXattr(path, name))}`);
}

/** Describes a whole tree, names of one inode by the first of them. */
export function listTree(root: string, options: ListingOptions = {}): Listing {
  const result = new Map<string, string>();
  const inodes = new Map<bigint, string>();
  const visit = (path: string, name: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const parts = [types(stat), (stat.mode & 0o7777n).toString(8), `${stat.uid}:${stat.gid}`];
    // The root's time is the folder's own, not the layer's.
    if (!options.ignoreTimes && name !== '/') parts.push(`mtime ${stat.mtimeNs}`);
    if (stat.isFile()) {
      const hash = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);
      parts.push(`${stat.size} bytes ${hash}`);
    }
    if (stat.isSymbolicLink()) parts.push(`-> ${readlinkSync(path)}`);
    if (stat.isCharacterDevice() || stat.isBlockDevice()) parts.push(`device ${stat.rdev}`);
    if (!stat.isDirectory() && stat.nlink > 1n) {
      const first = inodes.get(stat.ino);
      if (first === undefined) inodes.set(stat.ino, name);
      else parts.push(`= ${first}`);
    }
    result.set(name, [...parts, ...xattrs(path)].join(' '));
    if (!stat.isDirectory()) return;
    for (const child of readdirSync(path).sort()) visit(join(path, child), join(name, child));
  };
  visit(root, '/');
  return result;
}

/** The listing as an object, for readable assertion failures. */
export function asObject(listing: Listing): Record<string, string> {
  return Object.fromEntries(listing);
}
