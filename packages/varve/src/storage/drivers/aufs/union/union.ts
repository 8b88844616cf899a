import { constants } from 'node:fs';
import {
  check,
  close,
  errno,
  type FileStat,
  fileType,
  openat,
  openFlags,
  statAt,
  statFd,
} from '../../../../linux/index.ts';
import { bytes, opaqueName, whiteoutPrefix } from './names.ts';
import type { FileNode, FolderNode, Part, Place, UnionNode } from './node.ts';

const folderFlags = openFlags.path | constants.O_DIRECTORY;
const currentFolder = -100; // AT_FDCWD
/** File systems of one data root number their inodes far below this. */
const otherDeviceShift = 56n;

/**
 * Folders whose descriptors are kept open. A merged folder has one for each branch that has it; with 128 branches and a
 * limit of a million descriptors this many fit.
 */
const keptFolders = 4096;

/** What shows under a name: the file, and the branch's folder that has it. */
export interface Found {
  readonly part: Part;
  readonly stat: FileStat;
}

export interface Branches {
  /** Folder that is written to; undefined for a read-only union. */
  readonly writable: string | undefined;
  /** Topmost first. */
  readonly readOnly: readonly string[];
}

/** A stack of branches as AUFS shows it, and the nodes of it that the kernel knows. Nothing here writes to a branch. */
export class Union {
  readonly root: FolderNode;
  readonly isWritable: boolean;
  readonly nodes = new Map<number, UnionNode>();
  /** Files with several names, by the inode number of their branch. */
  readonly #linked = new Map<bigint, FileNode>();
  /** Inode numbers shown for copies in the writable branch, by their own: those of the files they were copied from. */
  readonly #origins = new Map<bigint, bigint>();
  /** Folders with open descriptors, the one used last at the end. */
  readonly #open = new Map<FolderNode, true>();
  readonly #lowest: number;
  /** By branch: what is added to its inode numbers. */
  readonly #offsets: readonly bigint[];
  #nextId = 1;

  constructor(branches: Branches) {
    const { writable, readOnly } = branches;
    this.isWritable = writable !== undefined;
    const offset = this.isWritable ? 0 : 1;
    const folders = writable === undefined ? readOnly : [writable, ...readOnly];
    // Index 0 is the writable branch, whether there is one or not.
    const parts = folders.map((path, index) => ({
      branch: index + offset,
      fd: check(openat(currentFolder, `${path}/.`, folderFlags), 'openat', path),
    }));
    this.#lowest = folders.length - 1 + offset;
    const stats = parts.map(({ fd }, index) => this.#must(statFd(fd), folders[index] as string));
    const stat = stats.at(-1) as FileStat;
    const devices = [...new Set(stats.map(({ device }) => device).reverse())];
    this.#offsets = [
      ...Array<bigint>(offset).fill(0n),
      ...stats.map(({ device }) => BigInt(devices.indexOf(device)) << otherDeviceShift),
    ];
    const id = this.#nextId++;
    this.root = {
      id,
      kind: 'folder',
      inode: stat.inode,
      lookups: 1,
      place: undefined,
      children: new Map(),
      parts,
      removed: undefined,
    };
    this.nodes.set(id, this.root);
  }

  /** The branches' folders behind a folder, topmost first; none once it is removed. */
  parts(folder: FolderNode): readonly Part[] {
    if (folder === this.root) return folder.parts as readonly Part[];
    if (this.#open.delete(folder)) {
      this.#open.set(folder, true);
      return folder.parts as readonly Part[];
    }
    const { place } = folder;
    if (!place) return [];
    const parts = this.#openParts(this.parts(place.folder), place.name);
    this.setParts(folder, parts);
    return parts;
  }

  /** Replaces the descriptors of a folder; the old ones that are not among the new are closed. */
  setParts(folder: FolderNode, parts: readonly Part[]): void {
    for (const part of folder.parts ?? []) if (!parts.includes(part)) close(part.fd);
    folder.parts = parts;
    this.#open.delete(folder);
    this.#open.set(folder, true);
    if (this.#open.size > keptFolders) this.#closeOldest();
  }

  #closeOldest(): void {
    for (const folder of this.#open.keys()) {
      this.closeFolder(folder);
      return;
    }
  }

  closeFolder(folder: FolderNode): void {
    for (const { fd } of folder.parts ?? []) close(fd);
    folder.parts = undefined;
    this.#open.delete(folder);
  }

  #openParts(above: readonly Part[], name: string): Part[] {
    const parts: Part[] = [];
    const base = bytes(name);
    for (const { branch, fd } of above) {
      if (this.#hasWhiteout({ branch, fd }, name)) break;
      const opened = openat(fd, base, folderFlags);
      if (opened === -errno.ENOENT) continue;
      if (opened < 0) break;
      parts.push({ branch, fd: opened });
      if (typeof statAt(opened, opaqueName) !== 'number') break;
    }
    return parts;
  }

  /** The lowest branch has nothing below it to delete. */
  #hasWhiteout({ branch, fd }: Part, name: string): boolean {
    return branch !== this.#lowest && typeof statAt(fd, bytes(whiteoutPrefix + name)) !== 'number';
  }

  /** What shows under a name in a folder: the topmost branch that has it, unless one above deletes it. */
  find(folder: FolderNode, name: string): Found | undefined {
    return this.#findIn(this.parts(folder), name);
  }

  /** What the read-only branches have under a name, whatever the writable one says. */
  findBelow(folder: FolderNode, name: string): Found | undefined {
    return this.#findIn(
      this.parts(folder).filter(({ branch }) => branch !== 0),
      name,
    );
  }

  #findIn(parts: readonly Part[], name: string): Found | undefined {
    const base = bytes(name);
    for (const part of parts) {
      if (this.#hasWhiteout(part, name)) return undefined;
      const stat = statAt(part.fd, base);
      if (typeof stat !== 'number') return { part, stat };
      if (stat !== -errno.ENOENT) check(stat, 'statx', base);
    }
    return undefined;
  }

  /** The node of a name that was found; the same one for every name of a hard-linked file. */
  node(folder: FolderNode, name: string, { part, stat }: Found): UnionNode {
    const known = folder.children.get(name);
    if (known) return known;
    const id = this.#nextId;
    const place = { folder, name };
    const inode = this.#shownInode(part.branch, stat.inode);
    let node: UnionNode;
    if (isFolder(stat)) {
      const children = new Map<string, UnionNode>();
      node = { id, kind: 'folder', inode, lookups: 0, place, children, parts: undefined, removed: undefined };
    } else {
      const linked = stat.nlink > 1 ? this.#linked.get(stat.inode) : undefined;
      if (linked) {
        linked.places.push(place);
        folder.children.set(name, linked);
        return linked;
      }
      node = {
        id,
        kind: 'file',
        inode,
        lookups: 0,
        places: [place],
        branch: part.branch,
        linked: undefined,
        open: undefined,
      };
      if (stat.nlink > 1) this.noteLinked(node, stat.inode);
    }
    this.#nextId++;
    this.nodes.set(id, node);
    folder.children.set(name, node);
    return node;
  }

  /** A file of the writable branch that has no name. */
  nameless(stat: FileStat): FileNode {
    const id = this.#nextId++;
    const inode = this.#shownInode(0, stat.inode);
    const node: FileNode = {
      id,
      kind: 'file',
      inode,
      lookups: 0,
      places: [],
      branch: 0,
      linked: undefined,
      open: undefined,
    };
    this.nodes.set(id, node);
    return node;
  }

  /** Numbers of a branch on another file system are moved out of the way of the others'. */
  #shownInode(branch: number, own: bigint): bigint {
    const number = own + (this.#offsets[branch] as bigint);
    return branch === 0 ? (this.#origins.get(own) ?? number) : number;
  }

  /** Notes that a file has several names: it is found by the inode number of its branch too. */
  noteLinked(node: FileNode, own: bigint): void {
    this.#unlink(node);
    node.linked = own;
    this.#linked.set(own, node);
  }

  #unlink(node: FileNode): void {
    if (node.linked !== undefined) this.#linked.delete(node.linked);
    node.linked = undefined;
  }

  /** Notes that a node is a copy in the writable branch from now on. */
  noteCopy(node: UnionNode, copy: FileStat): void {
    if (node.kind === 'file') {
      node.branch = 0;
      if (copy.nlink > 1) this.noteLinked(node, copy.inode);
      else this.#unlink(node);
    }
    this.#origins.set(copy.inode, node.inode);
  }

  /** Notes that an inode of the writable branch is gone, since its number will be given to another. */
  noteGone(own: bigint): void {
    this.#origins.delete(own);
    this.#linked.delete(own);
  }

  /** What a node is now. A negative errno when it cannot be told. */
  stat(node: UnionNode): FileStat | number {
    if (node.kind === 'folder') {
      if (node.removed) return node.removed;
      const [top] = this.parts(node);
      return top ? statFd(top.fd) : -errno.ENOENT;
    }
    const [place] = node.places;
    const fd = place && this.partOf(place.folder, node.branch)?.fd;
    const stat = place && fd !== undefined ? statAt(fd, bytes(place.name)) : -errno.ENOENT;
    if (typeof stat !== 'number' || !node.open) return stat;
    return statFd(node.open.fd);
  }

  partOf(folder: FolderNode, branch: number): Part | undefined {
    return this.parts(folder).find((part) => part.branch === branch);
  }

  /** Links a folder shows: a merged one does not know how many folders are in it, which 1 says. */
  nlink(node: UnionNode, stat: FileStat): number {
    if (node.kind === 'file') return stat.nlink;
    return node.removed || this.parts(node).length < 2 ? stat.nlink : 1;
  }

  /** Takes a name away from a node. */
  unname(node: UnionNode, { folder, name }: Place): void {
    if (folder.children.get(name) === node) folder.children.delete(name);
    if (node.kind === 'folder') {
      node.place = undefined;
      return;
    }
    const at = node.places.findIndex((place) => place.folder === folder && place.name === name);
    if (at >= 0) node.places.splice(at, 1);
  }

  /** Gives a node a name. */
  name(node: UnionNode, folder: FolderNode, name: string): void {
    if (node.kind === 'folder') node.place = { folder, name };
    else node.places.push({ folder, name });
    folder.children.set(name, node);
  }

  /**
   * Parts a file that is open from its names: who has it open keeps what it was, and the next look-up finds another node.
   * The kernel looks a path up again when an OPEN says ESTALE (open(2) with LOOKUP_REVAL).
   */
  detach(node: FileNode): void {
    for (const place of [...node.places]) this.unname(node, place);
    this.#unlink(node);
  }

  /** The kernel forgets a node `count` times. */
  forget(id: number, count: number): void {
    const node = this.nodes.get(id);
    if (!node || node === this.root) return;
    node.lookups -= count;
    this.#dropIfUnused(node);
  }

  #dropIfUnused(node: UnionNode): void {
    if (node.lookups > 0 || node === this.root) return;
    if (node.kind === 'folder') {
      if (node.children.size > 0) return;
      this.closeFolder(node);
    } else if (node.open) {
      return;
    }
    this.nodes.delete(node.id);
    const places = node.kind === 'folder' ? [node.place] : [...node.places];
    if (node.kind === 'file') this.#unlink(node);
    for (const place of places) {
      if (!place) continue;
      this.unname(node, place);
      this.#dropIfUnused(place.folder);
    }
  }

  /** Closes what is open; for a union that nobody serves. */
  close(): void {
    for (const folder of [...this.#open.keys(), this.root]) this.closeFolder(folder);
  }

  #must(stat: FileStat | number, what: string): FileStat {
    if (typeof stat !== 'number') return stat;
    check(stat, 'statx', what);
    throw new Error('unreachable');
  }
}

export const isFolder = (stat: FileStat): boolean => (stat.mode & fileType.mask) === fileType.directory;
