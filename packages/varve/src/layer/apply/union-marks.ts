import { constants } from 'node:fs';
import {
  check,
  close,
  errno,
  fchmodat,
  fileType,
  listFolder,
  mkdirat,
  mknodat,
  openat,
  statAt,
  unlinkat,
} from '../../linux/index.ts';
import { layerError } from '../errors.ts';
import { type BytePath, joinPath, pathBytes, splitPath } from '../names.ts';
import { isWhiteout, setOpaque } from '../overlay-marks.ts';
import { opaqueName, whiteoutPrefix } from '../whiteouts.ts';
import { type ConfinedRoot, removeTree } from './confined-root.ts';

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Writes what a layer deletes in the form of a union file system: overlayfs's devices 0/0 and attribute, AUFS's `.wh.` names.
 * A whiteout speaks of the layers below alone (OCI layer.md#whiteouts), also of a name that this layer has itself, before or
 * after it: then the folder is opaque, and a file needs no mark.
 */
export class UnionMarks {
  readonly #root: ConfinedRoot;
  readonly #overlay: boolean;
  /** Names this layer deletes below. */
  readonly #hidden = new Set<BytePath>();
  /** Those of them that it made folders of after that, without entries of their own: they are new, and look so. */
  readonly #anew = new Set<BytePath>();
  #opened: BytePath | undefined;

  constructor(root: ConfinedRoot, kind: 'overlay' | 'aufs') {
    this.#root = root;
    this.#overlay = kind === 'overlay';
  }

  isHidden(path: BytePath): boolean {
    return this.#hidden.has(path);
  }

  /** As {@link ConfinedRoot.makeFolder}, through names that are deleted below. */
  makeFolder(path: BytePath): number {
    if (this.#overlay && this.#hidden.size > 0 && path !== this.#opened) {
      this.#open(path);
      this.#opened = path;
    }
    return this.#root.makeFolder(path);
  }

  whiteout(parent: BytePath, name: string): void {
    const folder = this.makeFolder(parent);
    const base = pathBytes(name);
    this.#hidden.add(joinPath(parent, name));
    this.#opened = undefined;
    if (!this.#overlay) {
      if (typeof statAt(folder, base) === 'number') this.#anew.add(joinPath(parent, name));
      this.#mark(folder, whiteoutPrefix + name);
      return;
    }
    const made = mknodat(folder, base, fileType.characterDevice, 0n);
    if (made !== -errno.EEXIST) {
      check(made, 'mknodat', joinPath(parent, name));
      return;
    }
    // This layer has the name itself: that hides a lower file, and a lower folder when it is opaque.
    if (isFolderAt(folder, base)) setOpaque(folder, base);
  }

  opaque(parent: BytePath): void {
    const folder = this.makeFolder(parent);
    if (this.#overlay) setOpaque(folder, Buffer.from('.'));
    else this.#mark(folder, opaqueName);
  }

  /** To be called when all is written: what only the whole archive can tell. */
  settle(): void {
    // The deepest first: a folder may be left with whiteouts alone by what goes below it.
    for (const path of [...this.#hidden].sort().toReversed()) {
      const { parent, base } = splitPath(path);
      const folder = this.#root.folder(parent);
      if (folder < 0) continue;
      const name = pathBytes(base);
      if (this.#isOnlyMarks(folder, name)) {
        this.#deleteAgain(folder, name, path);
        continue;
      }
      if (!this.#overlay) this.#settleAufs(folder, base);
      this.#keepLook(folder, name, path);
    }
  }

  /** A folder made for whiteouts in a folder that is deleted: nothing of it is there. */
  #deleteAgain(folder: number, name: Buffer, path: BytePath): void {
    removeTree(folder, name, path);
    if (this.#overlay) check(mknodat(folder, name, fileType.characterDevice, 0n), 'mknodat', path);
    this.#root.forget();
  }

  /** AUFS would hide both the name below and the layer's own, so that the whiteout goes, and a folder becomes opaque. */
  #settleAufs(folder: number, base: string): void {
    const own = statAt(folder, pathBytes(base));
    if (typeof own === 'number') return;
    unlinkat(folder, pathBytes(whiteoutPrefix + base));
    if (isFolderAt(folder, pathBytes(base))) this.#mark(folder, `${base}/${opaqueName}`);
  }

  /** Takes a new folder off those that look as they do below. */
  #keepLook(folder: number, name: Buffer, path: BytePath): void {
    if (!this.#anew.has(path)) return;
    const fd = openat(folder, name, folderFlags);
    if (fd < 0) return;
    this.#root.wasGiven(fd);
    close(fd);
  }

  /** Makes folders of the whiteouts on the way, which hide what was there as opaque ones do. */
  #open(path: BytePath): void {
    for (let end = path.indexOf('/'); ; end = path.indexOf('/', end + 1)) {
      const above = end < 0 ? path : path.slice(0, end);
      if (this.#hidden.has(above)) this.#openOne(above);
      if (end < 0) return;
    }
  }

  #openOne(path: BytePath): void {
    const { parent, base } = splitPath(path);
    const folder = this.#root.folder(parent);
    if (folder < 0) return;
    const name = pathBytes(base);
    const stat = statAt(folder, name);
    if (typeof stat === 'number' || !isWhiteout(stat)) return;
    check(unlinkat(folder, name), 'unlinkat', path);
    check(mkdirat(folder, name, 0o755), 'mkdirat', path);
    // The umask had its say in mkdirat.
    check(fchmodat(folder, name, 0o755), 'fchmodat', path);
    setOpaque(folder, name);
    this.#anew.add(path);
    const fd = check(openat(folder, name, folderFlags), 'openat', path);
    this.#root.wasImplied(fd);
    close(fd);
  }

  /** True for a folder without an entry of its own that holds nothing but whiteouts and such folders. */
  #isOnlyMarks(folder: number, name: Buffer): boolean {
    const fd = openat(folder, name, folderFlags);
    if (fd < 0) return false;
    try {
      if (!this.#root.isImplied(fd)) return false;
      const entries = listFolder(fd);
      if (typeof entries === 'number') return false;
      return entries.every((entry) => this.#isMark(fd, entry.name) || this.#isOnlyMarks(fd, entry.name));
    } finally {
      close(fd);
    }
  }

  #isMark(folder: number, name: Buffer): boolean {
    if (!this.#overlay) return name.toString('latin1').startsWith(whiteoutPrefix);
    const stat = statAt(folder, name);
    return typeof stat !== 'number' && isWhiteout(stat);
  }

  #mark(folder: number, name: BytePath): void {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const made = openat(folder, pathBytes(name), flags, 0o444);
    if (made === -errno.EEXIST) return;
    if (made === -errno.ENAMETOOLONG) throw layerError('TAR_BAD_NAME', 'name too long', pathBytes(name));
    close(check(made, 'create a whiteout', name));
  }
}

function isFolderAt(folder: number, name: Buffer): boolean {
  const stat = statAt(folder, name);
  return typeof stat !== 'number' && (stat.mode & fileType.mask) === fileType.directory;
}
