import { closeSync, constants, lstatSync, openSync, rmdirSync, unlinkSync } from 'node:fs';
import {
  check,
  type FileStat,
  fchmodat,
  fchownat,
  fileType,
  getXattr,
  isFolderBeneath,
  listXattrs,
  setXattr,
  statAt,
  utimensat,
} from '../../../linux/index.ts';
import type { Unsettled } from '../../tree/record.ts';

const currentFolder = -100; // AT_FDCWD
/** Of overlayfs's own attributes. */
const overlayPrefix = 'trusted.overlay.';

/**
 * Settles what an archive leaves to the layers below it:
 *
 * - A whiteout that hides nothing goes. The kernel does not mind it when it looks a name up, but lists it in a folder
 *   that only this layer has: a name that `ls` shows and cannot find. Some builders write them.
 * - A folder that the archive names only in the paths of its files looks as it does below: overlayfs would show the
 *   attributes of this layer's bare one instead (Docker shows 0600 or 0755 of root then). If it was made for such a
 *   whiteout alone, it goes.
 *
 * The layer must not be mounted. Doing it again changes nothing.
 * @param diff the layer's folder.
 * @param lowers folders of all layers below, topmost first, settled themselves.
 */
export function settleLayer(
  diff: string,
  { whiteouts, folders }: Unsettled,
  lowers: readonly string[],
): void {
  for (const path of whiteouts) {
    if (findBelow(diff, path, lowers)) continue;
    const name = bytes(diff, path);
    const stat = lstatSync(name, { throwIfNoEntry: false });
    if (stat?.isCharacterDevice() && stat.rdev === 0) keepingTimes(name, () => unlinkSync(name));
  }
  const inherits = foldersIn(diff, folders).map((path) => ({
    name: bytes(diff, path),
    below: findBelow(diff, path, lowers),
  }));
  for (const { name, below } of inherits.toReversed()) {
    if (!below || !isFolder(below.stat)) keepingTimes(name, () => removeIfEmpty(name));
  }
  for (const { name, below } of inherits) {
    if (below && isFolder(below.stat)) copyAttributes(below, name);
  }
}

/** `folder/path` for a path of one character a byte. */
function bytes(folder: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
}

/** Does something to a name and leaves the folder's times as they were. */
function keepingTimes(name: Buffer, action: () => void): void {
  const parent = name.subarray(0, name.lastIndexOf(0x2f));
  const before = statAt(currentFolder, parent);
  action();
  if (typeof before === 'number') return;
  check(utimensat(currentFolder, parent, before.atime, before.mtime), 'utimensat', parent);
}

function removeIfEmpty(name: Buffer): void {
  try {
    rmdirSync(name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY') throw error;
  }
}

/** A file that a layer has at a path. */
interface Found {
  readonly name: Buffer;
  readonly stat: FileStat;
}

const isFolder = (stat: FileStat): boolean => (stat.mode & fileType.mask) === fileType.directory;

/** Those that are still folders: a link in the place of one, or of one above, would lead out of the layer. */
function foldersIn(diff: string, paths: readonly string[]): string[] {
  const root = openSync(diff, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return paths.filter((path) => isFolderBeneath(root, Buffer.from(path, 'latin1')));
  } finally {
    closeSync(root);
  }
}

const isWhiteout = (stat: FileStat): boolean =>
  (stat.mode & fileType.mask) === fileType.characterDevice && stat.rdevMajor === 0 && stat.rdevMinor === 0;

function isOpaque(name: Buffer): boolean {
  const mark = getXattr(name, `${overlayPrefix}opaque`);
  return mark instanceof Buffer && mark.toString() === 'y';
}

/** What the layers below show at a path, looked up as overlayfs does; nothing where the layer's own folders hide it. */
function findBelow(diff: string, path: string, lowers: readonly string[]): Found | undefined {
  const parts = path.split('/');
  const above = parts.slice(0, -1).map((_, index) => bytes(diff, parts.slice(0, index + 1).join('/')));
  return above.some(isOpaque) ? undefined : findInLowers(path, lowers);
}

/** What a stack of layer folders, topmost first, shows at a path of one character a byte. */
function findInLowers(path: string, lowers: readonly string[]): Found | undefined {
  const parts = path.split('/');
  for (const lower of lowers) {
    const answer = lookIn(lower, parts);
    if (answer !== 'go on') return answer === 'hidden' ? undefined : answer;
  }
  return undefined;
}

function lookIn(lower: string, parts: readonly string[]): Found | 'hidden' | 'go on' {
  let opaque = false;
  for (let length = 1; length <= parts.length; length++) {
    const name = bytes(lower, parts.slice(0, length).join('/'));
    const stat = statAt(currentFolder, name);
    if (typeof stat === 'number') return opaque ? 'hidden' : 'go on';
    if (isWhiteout(stat)) return 'hidden';
    if (length === parts.length) return { name, stat };
    if (!isFolder(stat)) return 'hidden';
    opaque ||= isOpaque(name);
  }
  return 'go on';
}

function copyAttributes({ name: from, stat }: Found, to: Buffer): void {
  // chown(2) clears set-id bits, so the owner comes first.
  check(fchownat(currentFolder, to, stat.uid, stat.gid), 'fchownat', to);
  const names = listXattrs(from);
  for (const name of typeof names === 'number' ? [] : names) {
    if (name.toString('latin1').startsWith(overlayPrefix)) continue;
    const value = getXattr(from, name);
    if (value instanceof Buffer) check(setXattr(to, name, value), 'setxattr', to);
  }
  check(fchmodat(currentFolder, to, stat.mode & 0o7777), 'fchmodat', to);
  check(utimensat(currentFolder, to, stat.atime, stat.mtime), 'utimensat', to);
}
