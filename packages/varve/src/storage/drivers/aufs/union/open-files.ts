import { constants } from 'node:fs';
import {
  check,
  errno,
  type FileStat,
  fchmod,
  ftruncate,
  getXattr,
  openat,
  statFd,
} from '../../../../linux/index.ts';
import { notifyAttributes } from '../fuse/notify.ts';
import { bytes } from './names.ts';
import type { FileNode } from './node.ts';
import { OpenFile } from './open-file.ts';
import type { Union } from './union.ts';
import type { WritableBranch } from './writable-branch.ts';

const setUser = 0o4000;
const setGroup = 0o2000;
const groupExecute = 0o10;

/** Opens files of a union: passed through to the kernel where that is possible. */
export class OpenFiles {
  readonly #union: Union;
  readonly #branch: WritableBranch | undefined;
  readonly #connection: number;
  /** Whether the kernel agreed to read and write by itself. */
  passthrough = false;

  constructor(union: Union, branch: WritableBranch | undefined, connection: number) {
    this.#union = union;
    this.#branch = branch;
    this.#connection = connection;
  }

  /**
   * Opens a file, once more if it is open already; copies it up if the open may write.
   * @param flags of open(2).
   * @param killSetId clears set-id bits when it is truncated: the caller may not keep them.
   * @returns 0 or a negative errno: ESTALE when the path must be looked up again.
   */
  open(node: FileNode, flags: number, killSetId: boolean): number {
    const truncate = (flags & constants.O_TRUNC) !== 0;
    const writes = isWriting(flags);
    if (writes || truncate) {
      if (!this.#branch) return -errno.EROFS;
      if (node.branch !== 0 || (node.open && this.#mustNotPass(node, node.open))) {
        // Who reads it through the kernel goes on reading what it was.
        if (node.open && node.open.backing > 0) {
          this.#union.detach(node);
          return -errno.ESTALE;
        }
        this.#branch.file(node, truncate);
        if (node.open) node.open.replace(this.#openOwn(node, constants.O_RDWR), true);
      }
    }
    const file = node.open ?? this.#first(node, writes || truncate);
    if (writes || truncate) file.makeWritable();
    if (truncate) {
      check(ftruncate(file.fd, 0), 'ftruncate', 'a file');
      if (killSetId) clearSetId(file.fd);
    }
    this.#use(node, file, writes);
    return 0;
  }

  /** Takes over the descriptor of a file just made. */
  adopt(node: FileNode, fd: number, flags: number): void {
    node.open = new OpenFile(this.#connection, fd, true, this.passthrough);
    node.open.uses = 1;
    node.open.writers = isWriting(flags) ? 1 : 0;
  }

  #first(node: FileNode, writes: boolean): OpenFile {
    const fd = this.#openOwn(node, writes ? constants.O_RDWR : constants.O_RDONLY);
    const passes = this.passthrough && !(writes && isPrivileged(fd));
    node.open = new OpenFile(this.#connection, fd, writes, passes);
    return node.open;
  }

  #use(node: FileNode, file: OpenFile, writes: boolean): void {
    file.uses++;
    if (!writes) return;
    file.writers++;
    // From now on the kernel changes the file without us, so that it must ask.
    if (file.writers === 1 && file.backing > 0) notifyAttributes(this.#connection, node.id);
  }

  /**
   * What the kernel writes through is written as us, who may keep set-id bits; a file that has some is written by us, who
   * are told when they must go.
   */
  #mustNotPass(node: FileNode, file: OpenFile): boolean {
    return node.places.length > 0 && file.backing > 0 && file.writers === 0 && isPrivileged(file.fd);
  }

  #openOwn(node: FileNode, flags: number): number {
    const [place] = node.places;
    const part = place && this.#union.partOf(place.folder, node.branch);
    if (!part) return check(-errno.ESTALE, 'open', 'a deleted file');
    const name = bytes(place.name);
    return check(openat(part.fd, name, flags | constants.O_NONBLOCK), 'openat', name);
  }

  release(node: FileNode, flags: number): void {
    const file = node.open;
    if (!file) return;
    if (isWriting(flags)) file.writers--;
    file.uses--;
    if (file.uses > 0) return;
    node.open = undefined;
    file.close();
    this.#union.forget(node.id, 0);
  }
}

const isWriting = (flags: number): boolean => (flags & 3) !== constants.O_RDONLY;

function isPrivileged(fd: number): boolean {
  const stat = statFd(fd);
  if (typeof stat === 'number') return false;
  return (stat.mode & (setUser | setGroup)) !== 0 || getXattr(fd, 'security.capability') instanceof Buffer;
}

/** The mode that is left when somebody without the right to keep set-id bits changes a file. inode(7) */
export function withoutSetId({ mode }: FileStat): number {
  const group = (mode & groupExecute) === 0 ? 0 : setGroup;
  return mode & 0o7777 & ~setUser & ~group;
}

export function clearSetId(fd: number): void {
  const stat = statFd(fd);
  if (typeof stat === 'number') return;
  const mode = withoutSetId(stat);
  if (mode !== (stat.mode & 0o7777)) check(fchmod(fd, mode), 'fchmod', 'a file');
}
