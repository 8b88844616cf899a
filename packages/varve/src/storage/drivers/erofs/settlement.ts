import type { FolderAttributes, Settlement, Xattr } from '../../../layer/index.ts';
import { getXattr, listXattrs } from '../../../linux/index.ts';
import type { Unsettled } from '../../tree/record.ts';
import { type Found, findInLowers, isFolder, overlayPrefix } from '../overlay2/settle.ts';

/**
 * What the layers below say of a layer's open questions.
 * @param lowers folders of all layers below, topmost first, settled themselves.
 */
export function settlementOf({ whiteouts, folders }: Unsettled, lowers: readonly string[]): Settlement {
  return {
    idleWhiteouts: whiteouts.filter((path) => !findInLowers(path, lowers)),
    folders: folders.map((path) => {
      const below = findInLowers(path, lowers);
      return below && isFolder(below.stat) ? { path, below: attributesOf(below) } : { path };
    }),
  };
}

function attributesOf({ name: path, stat }: Found): FolderAttributes {
  const names = listXattrs(path);
  const xattrs: Xattr[] = [];
  for (const name of typeof names === 'number' ? [] : names) {
    if (name.toString('latin1').startsWith(overlayPrefix)) continue;
    const value = getXattr(path, name);
    if (value instanceof Buffer) xattrs.push({ name, value });
  }
  return { mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, mtime: stat.mtime, xattrs };
}
