import { constants } from 'node:fs';
import {
  check,
  close,
  errno,
  type FileStat,
  fchmod,
  fchown,
  fileType,
  futimens,
  getXattr,
  linkat,
  listFolder,
  listXattrs,
  mkdirat,
  openat,
  setXattr,
  statAt,
  statFd,
} from '../../linux/index.ts';
import { copyOther } from './copy-tree.ts';

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY;
const currentFolder = -100; // AT_FDCWD
const overlayPrefix = 'trusted.overlay.';
/** A nested overlay's own attributes, which a mount gives back to it (Linux 6.7). */
const escapedPrefix = 'trusted.overlay.overlay.';

/**
 * Fills an existing empty folder with what a stack of overlayfs layers shows: folders are made anew, with the attributes
 * of the topmost layer that has them, and everything else is one more name of the layer's own file. Whiteouts and
 * opaque marks are obeyed and not linked. Names are bytes and every step is below an open folder.
 *
 * A file that has no room for a further name (65,000 on ext4) is copied.
 * @param stack folders of one file system, topmost first.
 */
export function linkTree(stack: readonly string[], to: string): void {
  const sources: number[] = [];
  try {
    for (const folder of [...stack, to]) {
      sources.push(check(openat(currentFolder, folder, folderFlags), 'openat', folder));
    }
    const target = sources.at(-1) as number;
    linkFolder(sources.slice(0, -1), target);
  } finally {
    sources.forEach(close);
  }
}

/** One name as the stack shows it. */
interface Shown {
  readonly name: Buffer;
  readonly stat: FileStat;
  /** The open folder of the topmost layer that has it. */
  readonly source: number;
  /** For a folder: the layers that have a part in it, topmost first. */
  readonly parts: number[];
}

function linkFolder(sources: readonly number[], target: number): void {
  for (const shown of merge(sources)) {
    const { name, stat, source } = shown;
    if (isFolder(stat)) linkSubfolder(shown, target);
    else linkOrCopy(source, target, name, stat);
  }
  const top = sources[0];
  if (top !== undefined) copyFolderAttributes(top, target);
}

function linkSubfolder({ name, parts }: Shown, target: number): void {
  const label = name.toString();
  const opened: number[] = [];
  try {
    for (const part of parts) opened.push(check(openat(part, name, folderFlags), 'openat', label));
    check(mkdirat(target, name, 0o700), 'mkdirat', label);
    const made = check(openat(target, name, folderFlags), 'openat', label);
    try {
      linkFolder(opened, made);
    } finally {
      close(made);
    }
  } finally {
    opened.forEach(close);
  }
}

function linkOrCopy(source: number, target: number, name: Buffer, stat: FileStat): void {
  const linked = linkat(source, name, target, name);
  if (linked === -errno.EMLINK) copyOther({ source, target }, name, stat);
  else check(linked, 'linkat', name.toString());
}

/** The names that show in a folder, looked up as overlayfs does: the topmost layer wins, folders are joined. */
function merge(sources: readonly number[]): Shown[] {
  const shown = new Map<string, Shown>();
  /** Names of which no lower layer can show more. */
  const closed = new Set<string>();
  for (const source of sources) {
    for (const { name } of list(source)) {
      const key = name.toString('latin1');
      if (closed.has(key)) continue;
      const stat = statAt(source, name);
      if (typeof stat === 'number') {
        check(stat, 'statx', name.toString());
        continue;
      }
      const above = shown.get(key);
      if (!isFolder(stat)) {
        if (!above && !isWhiteout(stat)) shown.set(key, { name, stat, source, parts: [] });
        closed.add(key);
        continue;
      }
      if (above) above.parts.push(source);
      else shown.set(key, { name, stat, source, parts: [source] });
    }
    if (isOpaque(source)) break;
  }
  return [...shown.values()];
}

function list(folder: number): { readonly name: Buffer }[] {
  const entries = listFolder(folder);
  if (typeof entries !== 'number') return entries;
  check(entries, 'getdents64', `fd ${folder}`);
  return [];
}

const isFolder = (stat: FileStat): boolean => (stat.mode & fileType.mask) === fileType.directory;

const isWhiteout = (stat: FileStat): boolean =>
  (stat.mode & fileType.mask) === fileType.characterDevice && stat.rdevMajor === 0 && stat.rdevMinor === 0;

function isOpaque(folder: number): boolean {
  const mark = getXattr(folder, `${overlayPrefix}opaque`);
  return mark instanceof Buffer && mark.toString() === 'y';
}

/** After all in the folder is made: that changed its times, and a default ACL would have been inherited. */
function copyFolderAttributes(from: number, to: number): void {
  const label = `fd ${from}`;
  const stat = statFd(from);
  if (typeof stat === 'number') {
    check(stat, 'statx', label);
    return;
  }
  // chown(2) clears set-id bits, so the owner comes first.
  check(fchown(to, stat.uid, stat.gid), 'fchown', label);
  const names = listXattrs(from);
  for (const name of typeof names === 'number' ? [] : names) {
    const text = name.toString('latin1');
    if (text.startsWith(overlayPrefix) && !text.startsWith(escapedPrefix)) continue;
    const value = getXattr(from, name);
    if (value instanceof Buffer) check(setXattr(to, name, value), `setxattr ${text}`, label);
  }
  check(fchmod(to, stat.mode & 0o7777), 'fchmod', label);
  check(futimens(to, stat.atime, stat.mtime), 'futimens', label);
}
