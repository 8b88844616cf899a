import { constants } from 'node:fs';
import {
  check,
  close,
  errno,
  linkat,
  listFolder,
  mkdirat,
  openat,
  openFlags,
  renameat2,
  rmdirat,
  statAt,
  statFd,
  unlinkat,
  utimensat,
} from '../../../../linux/index.ts';
import { copyAttributesOf, copyOther } from '../../../worker/copy-tree.ts';
import { branchFiles, bytes, opaqueName, whiteoutPrefix } from './names.ts';
import type { FileNode, FolderNode, Part, Place } from './node.ts';
import { isFolder, type Union } from './union.ts';

const folderFlags = openFlags.path | constants.O_DIRECTORY;
const readFolder = constants.O_RDONLY | constants.O_DIRECTORY;
/** As AUFS makes its whiteouts. */
const markMode = 0o444;

/**
 * The branch that is written to, and how things get there: copies of what a branch below has, whiteouts and opaque marks.
 * A copy is made in the branch's orphan folder and renamed into place, so that a crash leaves no half of a file under its
 * name.
 */
export class WritableBranch {
  readonly #union: Union;
  readonly #orphans: number;
  /** Files and folders copied up so far. */
  copies = 0;

  constructor(union: Union) {
    this.#union = union;
    const root = this.#rootPart.fd;
    for (const name of [branchFiles.links, branchFiles.orphans]) {
      const made = mkdirat(root, name, 0o700);
      if (made !== -errno.EEXIST) check(made, 'mkdirat', name);
    }
    const base = openat(root, branchFiles.base, constants.O_WRONLY | constants.O_CREAT, markMode);
    close(check(base, 'openat', branchFiles.base));
    this.#orphans = check(openat(root, branchFiles.orphans, folderFlags), 'openat', branchFiles.orphans);
    // What an earlier server left half made.
    this.#empty(this.#orphans);
  }

  close(): void {
    close(this.#orphans);
  }

  get #rootPart(): Part {
    return this.#union.parts(this.#union.root)[0] as Part;
  }

  /** The branch's own folder behind a folder, copied up first where it has none. @throws ENOENT for a removed folder. */
  folder(folder: FolderNode): number {
    const own = this.#union.partOf(folder, 0);
    if (own) return own.fd;
    const { place } = folder;
    const [top] = this.#union.parts(folder);
    if (!place || !top) return check(-errno.ENOENT, 'copy up', 'a removed folder');
    const parent = this.folder(place.folder);
    const name = bytes(place.name);
    check(mkdirat(this.#orphans, name, 0o700), 'mkdirat', name);
    const made = check(openat(this.#orphans, name, readFolder), 'openat', name);
    try {
      copyFolderAttributes(top, made, place.name);
      this.#settle(name, parent, name);
    } finally {
      close(made);
    }
    // Opened again as they are now: the branch's own first.
    this.#union.closeFolder(folder);
    const fd = check(this.#union.partOf(folder, 0)?.fd ?? -errno.ENOENT, 'openat', name);
    this.#noteCopy(folder, fd);
    return fd;
  }

  /**
   * Copies a file up under every name by which it is known, once.
   * @param empty without its content, for one that is emptied next.
   */
  file(node: FileNode, empty = false): void {
    if (node.branch === 0) return;
    const [first, ...others] = node.places;
    if (!first) {
      check(-errno.EROFS, 'copy up', 'a deleted file');
      return;
    }
    const name = bytes(first.name);
    const parent = this.folder(first.folder);
    const source = (this.#union.partOf(first.folder, node.branch) as Part).fd;
    const stat = statAt(source, name);
    if (typeof stat === 'number') {
      check(stat, 'statx', name);
      return;
    }
    try {
      copyOther({ source, target: this.#orphans }, name, stat, { empty });
      this.#settle(name, parent, name);
    } catch (error) {
      unlinkat(this.#orphans, name);
      throw error;
    }
    for (const other of others) {
      const folder = this.folder(other.folder);
      keepingTimes(folder, () => check(linkat(parent, name, folder, bytes(other.name)), 'linkat', name));
    }
    this.copies++;
    const copy = statAt(parent, name);
    if (typeof copy === 'number') check(copy, 'statx', name);
    else this.#union.noteCopy(node, copy);
  }

  #noteCopy(folder: FolderNode, fd: number): void {
    this.copies++;
    const copy = statFd(fd);
    if (typeof copy !== 'number') this.#union.noteCopy(folder, copy);
  }

  /** Moves what was made among the orphans to its place; the folder around it does not change to those who look. */
  #settle(orphan: Buffer, parent: number, name: Buffer): void {
    keepingTimes(parent, () => check(renameat2(this.#orphans, orphan, parent, name), 'renameat2', name));
  }

  hasWhiteout(folder: FolderNode, name: string): boolean {
    const own = this.#union.partOf(folder, 0);
    return own !== undefined && typeof statAt(own.fd, bytes(whiteoutPrefix + name)) !== 'number';
  }

  /**
   * Deletes a name from the branches below, and from this one, at once: whatever this branch has under it is hidden too.
   * @throws ENAMETOOLONG where `.wh.NAME` is longer than a name can be.
   */
  addWhiteout(folder: FolderNode, name: string): void {
    mark(this.folder(folder), whiteoutPrefix + name);
  }

  /** Makes what this branch has under a name show. */
  removeWhiteout(folder: FolderNode, name: string): void {
    const gone = unlinkat(this.folder(folder), bytes(whiteoutPrefix + name));
    if (gone !== -errno.ENOENT) check(gone, 'unlinkat', name);
  }

  /** Shows nothing of the branches below in a folder of this branch. */
  makeOpaque(fd: number): void {
    mark(fd, opaqueName);
  }

  /**
   * Makes room for something new under a name that nothing shows under: a crash may have left a file behind a whiteout.
   */
  clearHidden({ folder, name }: Place): void {
    if (!this.hasWhiteout(folder, name)) return;
    const own = this.folder(folder);
    if (typeof statAt(own, bytes(name)) !== 'number') this.discard(own, bytes(name));
  }

  /** Takes a file or folder, with all in it, out of a folder of this branch. */
  discard(parent: number, name: Buffer): void {
    const stat = statAt(parent, name);
    if (typeof stat === 'number') return;
    if (!isFolder(stat)) {
      check(unlinkat(parent, name), 'unlinkat', name);
    } else {
      check(renameat2(parent, name, this.#orphans, name), 'renameat2', name);
      this.#empty(this.#orphans);
    }
    if (isFolder(stat) || stat.nlink < 2) this.#union.noteGone(stat.inode);
  }

  /** Deletes all in a folder. What goes this way holds marks at most, so that it is shallow. */
  #empty(folder: number): void {
    const fd = check(openat(folder, '.', readFolder), 'openat', '.');
    const entries = listFolder(fd);
    close(fd);
    for (const { name } of typeof entries === 'number' ? [] : entries) {
      const gone = unlinkat(folder, name);
      if (gone !== -errno.EISDIR) continue;
      const child = check(openat(folder, name, folderFlags), 'openat', name);
      this.#empty(child);
      close(child);
      check(rmdirat(folder, name), 'unlinkat', name);
    }
  }
}

function mark(folder: number, name: string): void {
  const fd = openat(folder, bytes(name), constants.O_WRONLY | constants.O_CREAT, markMode);
  close(check(fd, 'openat', name));
}

/** Does something in a folder and leaves its times as they were. */
function keepingTimes(folder: number, action: () => void): void {
  const before = statFd(folder);
  action();
  if (typeof before === 'number') return;
  check(utimensat(folder, '.', before.atime, before.mtime), 'utimensat', 'a folder');
}

function copyFolderAttributes({ fd }: Part, to: number, label: string): void {
  const from = check(openat(fd, '.', readFolder), 'openat', label);
  try {
    const stat = statFd(from);
    if (typeof stat === 'number') check(stat, 'statx', label);
    else copyAttributesOf(from, to, stat, label);
  } finally {
    close(from);
  }
}
