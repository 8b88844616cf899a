import { createHash } from 'node:crypto';
import { constants, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  check,
  close,
  errno,
  type FileStat,
  fileType,
  getXattr,
  listFolder,
  listXattrs,
  openat,
  pathBelow,
  statAt,
} from '../../linux/index.ts';

/** A temporary folder on a disk (not tmpfs, which lacks some attributes), removed at the end of the scope. */
export class TemporaryFolder implements Disposable {
  readonly path: string;

  constructor(under = '/var/tmp') {
    this.path = mkdtempSync(join(under, 'varve-layer-'));
  }

  join(...parts: readonly string[]): string {
    return join(this.path, ...parts);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface DescribeOptions {
  /** Attributes to leave out. */
  readonly ignoreXattrs?: RegExp;
  readonly ignoreFolderTimes?: boolean;
  /** Pass over names that are listed and not there, as overlayfs shows whiteouts with nothing below. */
  readonly ignoreMissing?: boolean;
}

/**
 * Everything about a tree that a layer carries, one line for each path, for comparing trees: type, mode, owner, device, size,
 * mtime to the nanosecond, link target, attributes, digest of the content, and which names are one file.
 */
export function describeTree(root: string, options: DescribeOptions = {}): string[] {
  const lines: string[] = [];
  const inodes = new Map<string, string>();
  const visit = (dirfd: number, name: Buffer, shown: string): void => {
    const fd = check(openat(dirfd, name, constants.O_RDONLY | constants.O_DIRECTORY), 'openat', shown);
    try {
      const entries = listFolder(fd);
      if (typeof entries === 'number') throw new Error(`getdents64 ${shown}: ${entries}`);
      for (const entry of entries.sort((x, y) => x.name.compare(y.name))) {
        const stat = statAt(fd, entry.name);
        if (stat === -errno.ENOENT && options.ignoreMissing === true) continue;
        if (typeof stat === 'number') throw new Error(`statx ${shown}${entry.name.toString()}: ${stat}`);
        const label = `${shown}${JSON.stringify(entry.name.toString('latin1')).slice(1, -1)}`;
        lines.push(describe(pathBelow(fd, entry.name), label, stat, inodes, options));
        if ((stat.mode & fileType.mask) === fileType.directory) visit(fd, entry.name, `${label}/`);
      }
    } finally {
      close(fd);
    }
  };
  visit(-100, Buffer.from(root), '/');
  return lines;
}

function describe(
  path: Buffer,
  label: string,
  stat: FileStat,
  inodes: Map<string, string>,
  options: DescribeOptions,
): string {
  const type = stat.mode & fileType.mask;
  const isFolder = type === fileType.directory;
  const parts = [label, stat.mode.toString(8), `${stat.uid}:${stat.gid}`];
  if (!(isFolder && options.ignoreFolderTimes === true)) {
    parts.push(`${stat.mtime.seconds}.${String(stat.mtime.nanoseconds).padStart(9, '0')}`);
  }
  if (type === fileType.blockDevice || type === fileType.characterDevice) {
    parts.push(`dev=${stat.rdevMajor},${stat.rdevMinor}`);
  }
  if (type === fileType.symlink) parts.push(`-> ${JSON.stringify(readlinkSync(path, 'latin1'))}`);
  if (type === fileType.regular) {
    const digest =
      stat.size > 64 << 20 ? 'large' : createHash('sha1').update(readFileSync(path)).digest('hex');
    parts.push(`${stat.size}`, digest);
  }
  if (!isFolder && stat.nlink > 1) {
    const key = `${stat.device}:${stat.inode}`;
    const first = inodes.get(key);
    // Counted by names met, not by nlink: overlayfs shows the lower file's after a copy-up broke the link.
    if (first === undefined) inodes.set(key, label);
    else parts.push(`same-as=${first}`);
  }
  const names = listXattrs(path);
  if (typeof names === 'number') throw new Error(`listxattr ${label}: ${names}`);
  for (const name of names.map((bytes) => bytes.toString('latin1')).sort()) {
    if (options.ignoreXattrs?.test(name)) continue;
    const value = getXattr(path, Buffer.from(name, 'latin1'));
    parts.push(`${name}=${value instanceof Buffer ? value.toString('hex') : 'unreadable'}`);
  }
  return parts.join(' ');
}
