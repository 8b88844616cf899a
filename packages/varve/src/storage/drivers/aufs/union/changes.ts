import { constants } from 'node:fs';
import {
  check,
  close,
  errno,
  type FileStat,
  fchmodat,
  fchown,
  fchownat,
  linkat,
  linkFd,
  mkdirat,
  mknodat,
  openat,
  openFlags,
  renameat2,
  statAt,
  statFd,
  symlinkat,
} from '../../../../linux/index.ts';
import { listMerged } from './list-folder.ts';
import { bytes, isReserved } from './names.ts';
import type { FileNode, FolderNode, Part, Place, UnionNode } from './node.ts';
import { type Found, isFolder, type Union } from './union.ts';
import type { WritableBranch } from './writable-branch.ts';

/** Who makes something, and with which mask. */
export interface Maker {
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
}

const setGroup = 0o2000;
const setIds = 0o6000;

/** Changes of names in a union, in AUFS's form. Failures are negative errnos or exceptions with one. */
export class NameChanges {
  readonly #union: Union;
  readonly #branch: WritableBranch;

  constructor(union: Union, branch: WritableBranch) {
    this.#union = union;
    this.#branch = branch;
  }

  /**
   * Makes something new under a name. Behind a whiteout it is made first and shown then.
   * @param create makes it in a folder of the branch; gives a negative errno where it cannot.
   * @returns what was made, or a negative errno.
   */
  make(place: Place, maker: Maker, create: (fd: number, name: Buffer) => number): Found | number {
    const { folder, name } = place;
    if (isReserved(name)) return -errno.EPERM;
    if (this.#union.find(folder, name)) return -errno.EEXIST;
    const fd = this.#branch.folder(folder);
    const part = this.#union.partOf(folder, 0) as Part;
    const hidden = this.#branch.hasWhiteout(folder, name);
    if (hidden) this.#branch.clearHidden(place);
    const base = bytes(name);
    // A folder's default ACL goes before the umask, which only the kernel's own mkdir and open know how to do.
    process.umask(maker.umask);
    let made: number;
    try {
      made = create(fd, base);
    } finally {
      process.umask(0);
    }
    if (made < 0) return made;
    const stat = this.#giveTo(fd, base, maker);
    if (hidden) {
      this.#hideBelow(folder, name, fd);
      this.#branch.removeWhiteout(folder, name);
    }
    return typeof stat === 'number' ? stat : { part, stat };
  }

  /** A folder that takes the place of a deleted one must not show what that held. */
  #hideBelow(folder: FolderNode, name: string, parent: number): void {
    const below = this.#union.findBelow(folder, name);
    const own = statAt(parent, bytes(name));
    if (!below || !isFolder(below.stat) || typeof own === 'number' || !isFolder(own)) return;
    const fd = check(openat(parent, bytes(name), openFlags.path | constants.O_DIRECTORY), 'openat', name);
    this.#branch.makeOpaque(fd);
    close(fd);
  }

  /**
   * The file was made by us for somebody else. In a set-group-id folder it keeps the group that the kernel gave it.
   * @returns what it is then.
   */
  #giveTo(parent: number, name: Buffer, { uid, gid }: Maker): FileStat | number {
    const folder = statFd(parent);
    const made = statAt(parent, name);
    if (typeof folder === 'number' || typeof made === 'number') return made;
    const group = (folder.mode & setGroup) === 0 ? gid : made.gid;
    if (made.uid === uid && made.gid === group) return made;
    check(fchownat(parent, name, uid, group), 'fchownat', name);
    if ((made.mode & setIds) !== 0) check(fchmodat(parent, name, made.mode & 0o7777), 'fchmodat', name);
    return statAt(parent, name);
  }

  makeFolder(place: Place, maker: Maker, mode: number): Found | number {
    return this.make(place, maker, (fd, name) => mkdirat(fd, name, mode));
  }

  makeSpecial(place: Place, maker: Maker, mode: number, device: bigint): Found | number {
    return this.make(place, maker, (fd, name) => mknodat(fd, name, mode, device));
  }

  makeLink(place: Place, maker: Maker, target: string): Found | number {
    return this.make(place, maker, (fd, name) => symlinkat(bytes(target), fd, name));
  }

  /** A file without a name in a folder; gives its descriptor. open(2) O_TMPFILE */
  makeNameless(folder: FolderNode, maker: Maker, mode: number): number {
    process.umask(maker.umask);
    let fd: number;
    try {
      fd = openat(this.#branch.folder(folder), '.', constants.O_RDWR | openFlags.nameless, mode);
    } finally {
      process.umask(0);
    }
    if (fd >= 0) check(fchown(fd, maker.uid, maker.gid), 'fchown', 'a new file');
    return fd;
  }

  /** A further name for a file, or the first for one without. */
  link(node: FileNode, place: Place): number {
    const nameless = node.places.length === 0 ? node.open : undefined;
    if (!nameless || node.branch !== 0) this.#branch.file(node);
    const [from] = node.places;
    const { folder, name } = place;
    if (isReserved(name)) return -errno.EPERM;
    if (this.#union.find(folder, name)) return -errno.EEXIST;
    const fd = this.#branch.folder(folder);
    this.#branch.clearHidden(place);
    let linked = -errno.ENOENT;
    if (from) linked = linkat(this.#branch.folder(from.folder), bytes(from.name), fd, bytes(name));
    else if (nameless) linked = linkFd(nameless.fd, fd, bytes(name));
    if (linked < 0) return linked;
    this.#branch.removeWhiteout(folder, name);
    this.#union.name(node, folder, name);
    const stat = statAt(fd, bytes(name));
    if (typeof stat !== 'number' && stat.nlink > 1) this.#union.noteLinked(node, stat.inode);
    return 0;
  }

  /** Deletes a file's name. */
  unlink({ folder, name }: Place): number {
    const found = this.#union.find(folder, name);
    if (!found) return -errno.ENOENT;
    if (isFolder(found.stat)) return -errno.EISDIR;
    this.#remove(folder, name, found);
    return 0;
  }

  /** Deletes an empty folder. */
  rmdir({ folder, name }: Place): number {
    const found = this.#union.find(folder, name);
    if (!found) return -errno.ENOENT;
    if (!isFolder(found.stat)) return -errno.ENOTDIR;
    const node = this.#union.node(folder, name, found) as FolderNode;
    if (listMerged(this.#union, node).length > 0) return -errno.ENOTEMPTY;
    const stat = this.#union.stat(node);
    this.#remove(folder, name, found);
    if (typeof stat !== 'number') node.removed = { ...stat, nlink: 0 };
    return 0;
  }

  #remove(folder: FolderNode, name: string, found: Found): void {
    const node = folder.children.get(name);
    // The whiteout hides the branch's own file too, so that this is the moment it is gone.
    if (this.#union.findBelow(folder, name)) this.#branch.addWhiteout(folder, name);
    if (node?.kind === 'folder') this.#union.closeFolder(node);
    if (found.part.branch === 0) this.#branch.discard(this.#branch.folder(folder), bytes(name));
    if (node) this.#union.unname(node, { folder, name });
  }

  /**
   * rename(2). A folder that a branch below has a part in gives EXDEV, as AUFS and overlayfs do: programs then copy.
   */
  rename(from: Place, to: Place, flags: { readonly noReplace: boolean; readonly exchange: boolean }): number {
    const source = this.#union.find(from.folder, from.name);
    if (!source) return -errno.ENOENT;
    if (isReserved(to.name)) return -errno.EPERM;
    const target = this.#union.find(to.folder, to.name);
    if (flags.exchange) return target ? this.#exchange(from, source, to, target) : -errno.ENOENT;
    if (target && flags.noReplace) return -errno.EEXIST;
    const node = this.#union.node(from.folder, from.name, source);
    const replaced = target && this.#union.node(to.folder, to.name, target);
    if (replaced === node) return 0;
    if (node.kind === 'folder' && !this.#isMovable(node)) return -errno.EXDEV;
    const refusal = replaced && this.#cannotReplace(node, replaced);
    if (refusal) return refusal;
    const leavesWhiteout = this.#union.findBelow(from.folder, from.name) !== undefined;
    if (node.kind === 'file') this.#branch.file(node);
    const fromFd = this.#branch.folder(from.folder);
    const toFd = this.#branch.folder(to.folder);
    this.#branch.clearHidden(to);
    const below = this.#union.findBelow(to.folder, to.name);
    if (node.kind === 'folder') {
      if (below && isFolder(below.stat)) this.#branch.makeOpaque(this.#branch.folder(node));
      if (replaced) this.#replaceFolder(replaced as FolderNode, toFd, to.name);
    }
    const before = statAt(toFd, bytes(to.name));
    const moved = renameat2(fromFd, bytes(from.name), toFd, bytes(to.name));
    if (moved < 0) return moved;
    if (typeof before !== 'number' && before.nlink < 2) this.#union.noteGone(before.inode);
    this.#branch.removeWhiteout(to.folder, to.name);
    if (leavesWhiteout) this.#branch.addWhiteout(from.folder, from.name);
    if (replaced) this.#union.unname(replaced, to);
    this.#union.unname(node, from);
    this.#union.name(node, to.folder, to.name);
    return 0;
  }

  /** True for a folder that only the writable branch has a part in. */
  #isMovable(node: FolderNode): boolean {
    const parts = this.#union.parts(node);
    return parts.length === 1 && parts[0]?.branch === 0;
  }

  #cannotReplace(node: UnionNode, replaced: UnionNode): number {
    if (node.kind === 'file') return replaced.kind === 'folder' ? -errno.EISDIR : 0;
    if (replaced.kind === 'file') return -errno.ENOTDIR;
    return listMerged(this.#union, replaced).length > 0 ? -errno.ENOTEMPTY : 0;
  }

  /** An empty folder of the branch may still hold marks, which rename(2) would not replace. */
  #replaceFolder(replaced: FolderNode, parent: number, name: string): void {
    const stat = this.#union.stat(replaced);
    this.#union.closeFolder(replaced);
    this.#branch.discard(parent, bytes(name));
    if (typeof stat !== 'number') replaced.removed = { ...stat, nlink: 0 };
  }

  #exchange(from: Place, source: Found, to: Place, target: Found): number {
    const one = this.#union.node(from.folder, from.name, source);
    const other = this.#union.node(to.folder, to.name, target);
    if (one === other) return 0;
    for (const node of [one, other]) {
      if (node.kind === 'folder' && !this.#isMovable(node)) return -errno.EXDEV;
    }
    for (const node of [one, other]) if (node.kind === 'file') this.#branch.file(node);
    const [fromFd, toFd] = [this.#branch.folder(from.folder), this.#branch.folder(to.folder)];
    const places = [
      { node: one, ends: to },
      { node: other, ends: from },
    ] as const;
    for (const { node, ends } of places) {
      const below = this.#union.findBelow(ends.folder, ends.name);
      if (node.kind === 'folder' && below) this.#branch.makeOpaque(this.#branch.folder(node));
    }
    const done = renameat2(fromFd, bytes(from.name), toFd, bytes(to.name), 2);
    if (done < 0) return done;
    this.#union.unname(one, from);
    this.#union.unname(other, to);
    this.#union.name(one, to.folder, to.name);
    this.#union.name(other, from.folder, from.name);
    return 0;
  }
}
