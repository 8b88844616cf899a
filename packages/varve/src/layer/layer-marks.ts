import { errno, type FileStat, statAt } from '../linux/index.ts';
import { isOpaque, isWhiteout } from './overlay-marks.ts';
import { opaqueName, whiteoutMetaPrefix, whiteoutPrefix } from './whiteouts.ts';

/** What an entry of a layer's folder is. */
export type MarkedEntry =
  | { readonly kind: 'entry'; readonly stat: FileStat }
  | { readonly kind: 'deleted'; readonly name: Buffer };

/** How a union file system writes into a layer's folder what is gone from the layers below. */
export interface LayerMarks {
  /** What the folder says of a name; undefined where the layers below decide, a negative errno when it cannot be told. */
  find(dirfd: number, base: Buffer): FileStat | 'deleted' | undefined | number;
  /** Whether nothing of the layers below shows in a folder. */
  isOpaque(dirfd: number, base: Buffer): boolean;
  /** What an entry of the folder is; undefined for what is nothing to anybody else, and for what went away meanwhile. */
  read(dirfd: number, base: Buffer): MarkedEntry | undefined;
  /** The name that an entry is about. */
  subject(base: Buffer): Buffer;
}

/** A character device 0/0 deletes its name; an attribute makes a folder opaque. */
const overlay: LayerMarks = {
  find(dirfd, base) {
    const stat = statAt(dirfd, base);
    if (typeof stat !== 'number') return isWhiteout(stat) ? 'deleted' : stat;
    return absent(stat);
  },
  isOpaque,
  read(dirfd, base) {
    const stat = statAt(dirfd, base);
    if (typeof stat === 'number') return undefined;
    return isWhiteout(stat) ? { kind: 'deleted', name: base } : { kind: 'entry', stat };
  },
  subject: (base) => base,
};

const isMark = (base: Buffer): boolean => base.toString('latin1', 0, 4) === whiteoutPrefix;
const markOf = (base: Buffer): Buffer => Buffer.concat([Buffer.from(whiteoutPrefix), base]);
const has = (dirfd: number, base: Buffer): boolean => typeof statAt(dirfd, base) !== 'number';

/** A file `.wh.NAME` deletes NAME, from its own layer too; `.wh..wh..opq` makes its folder opaque. */
const aufs: LayerMarks = {
  find(dirfd, base) {
    if (has(dirfd, markOf(base))) return 'deleted';
    if (isMark(base)) return undefined;
    const stat = statAt(dirfd, base);
    return typeof stat === 'number' ? absent(stat) : stat;
  },
  isOpaque: (dirfd, base) => has(dirfd, Buffer.concat([base, Buffer.from(`/${opaqueName}`)])),
  read(dirfd, base) {
    if (isMark(base)) {
      if (base.toString('latin1').startsWith(whiteoutMetaPrefix)) return undefined;
      return { kind: 'deleted', name: base.subarray(whiteoutPrefix.length) };
    }
    if (has(dirfd, markOf(base))) return undefined;
    const stat = statAt(dirfd, base);
    return typeof stat === 'number' ? undefined : { kind: 'entry', stat };
  },
  subject: (base) => (isMark(base) ? base.subarray(whiteoutPrefix.length) : base),
};

function absent(failure: number): undefined | number {
  return failure === -errno.ENOENT ? undefined : failure;
}

/** By the format of the folder. */
export const layerMarks: Readonly<Record<'overlay' | 'aufs', LayerMarks>> = { overlay, aufs };
