import { check, type FileStat, fileType, getXattr, pathBelow, setXattr } from '../linux/index.ts';
import { overlayXattrs } from './whiteouts.ts';

/** A character device 0/0: overlayfs hides the name in the layers below. */
export function isWhiteout(stat: FileStat): boolean {
  return (
    (stat.mode & fileType.mask) === fileType.characterDevice && stat.rdevMajor === 0 && stat.rdevMinor === 0
  );
}

/** Whether overlayfs shows nothing of the layers below in this folder. */
export function isOpaque(dirfd: number, base: Buffer): boolean {
  const path = pathBelow(dirfd, base);
  const value = getXattr(path, overlayXattrs.opaque) ?? getXattr(path, overlayXattrs.userOpaque);
  return value instanceof Buffer && value.toString('latin1') === 'y';
}

/** Makes overlayfs show nothing of the layers below in this folder. */
export function setOpaque(dirfd: number, base: Buffer): void {
  check(setXattr(pathBelow(dirfd, base), overlayXattrs.opaque, Buffer.from('y')), 'setxattr', base);
}
