import { lstatSync, unlinkSync } from 'node:fs';
import { check, fileType, getXattr, statAt, utimensat } from '../../../linux/index.ts';

const currentFolder = -100; // AT_FDCWD

/** `folder/path` for a path of one character a byte. */
function bytes(folder: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
}

/**
 * Deletes whiteouts that hide nothing of the layers below. The kernel does not mind them when it looks a name up, but
 * lists them in a folder that only one layer has: a name that `ls` shows and cannot find. Some builders write them
 * (whiteouts of files that the base never had).
 * @param diff the layer's folder; its folders keep their times.
 * @param lowers folders of all layers below, topmost first.
 */
export function dropDanglingWhiteouts(
  diff: string,
  whiteouts: readonly string[],
  lowers: readonly string[],
): void {
  for (const path of whiteouts) {
    if (!isInOpaque(diff, path) && isBelow(path, lowers)) continue;
    const name = bytes(diff, path);
    const parent = name.subarray(0, name.lastIndexOf(0x2f));
    const before = statAt(currentFolder, parent);
    const stat = lstatSync(name, { throwIfNoEntry: false });
    if (!stat?.isCharacterDevice() || stat.rdev !== 0) continue;
    unlinkSync(name);
    if (typeof before !== 'number') {
      check(utimensat(currentFolder, parent, before.atime, before.mtime), 'utimensat', parent);
    }
  }
}

/** Whether one of the layer's own folders above the path hides all below anyway. */
function isInOpaque(diff: string, path: string): boolean {
  const parts = path.split('/').slice(0, -1);
  return parts.some((_, index) => isOpaque(bytes(diff, parts.slice(0, index + 1).join('/'))));
}

function isOpaque(name: Buffer): boolean {
  const mark = getXattr(name, 'trusted.overlay.opaque');
  return mark instanceof Buffer && mark.toString() === 'y';
}

/** Whether a path can be seen in a stack of layer folders, looked up as overlayfs does. */
function isBelow(path: string, lowers: readonly string[]): boolean {
  const parts = path.split('/');
  for (const lower of lowers) {
    const answer = lookIn(lower, parts);
    if (answer !== 'go on') return answer === 'found';
  }
  return false;
}

function lookIn(lower: string, parts: readonly string[]): 'found' | 'hidden' | 'go on' {
  let opaque = false;
  for (let length = 1; length <= parts.length; length++) {
    const name = bytes(lower, parts.slice(0, length).join('/'));
    const stat = statAt(currentFolder, name);
    if (typeof stat === 'number') return opaque ? 'hidden' : 'go on';
    const type = stat.mode & fileType.mask;
    if (type === fileType.characterDevice && stat.rdevMajor === 0 && stat.rdevMinor === 0) return 'hidden';
    if (length === parts.length) return 'found';
    if (type !== fileType.directory) return 'hidden';
    opaque ||= isOpaque(name);
  }
  return 'go on';
}
