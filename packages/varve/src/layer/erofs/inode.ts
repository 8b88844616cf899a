import type { TimeSpec } from '../../linux/index.ts';
import type { SparseRegion } from '../tar/entry.ts';

/** File types as the mode of stat(2) has them. */
export const types = {
  mask: 0o170000,
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
} as const;

/** Where a file's bytes stand in the tar. */
export interface StoredContent {
  readonly size: number;
  readonly offset: number;
  readonly sparse: readonly SparseRegion[] | undefined;
}

/** A file of a layer; several names may lead to one. */
export class Inode {
  mode: number;
  uid = 0;
  gid = 0;
  mtime: TimeSpec = { seconds: 0, nanoseconds: 0 };
  /** By name, one character a byte. */
  xattrs: Map<string, Buffer> | undefined;
  /** Of a directory: names, one character a byte. */
  readonly children: Map<string, Inode> | undefined;
  /** Names of this directory that the layer deletes below. */
  hidden: Set<string> | undefined;
  /** Made for what is in it, without an entry of its own. */
  implied = false;
  /** True for one made after a whiteout of its name, so that it is new whatever lies below. */
  anew = false;
  content: StoredContent | undefined;
  target: Buffer | undefined;
  device: readonly [major: number, minor: number] = [0, 0];

  /** @param mode type and permission bits. */
  constructor(mode: number) {
    this.mode = mode;
    this.children = (mode & types.mask) === types.directory ? new Map() : undefined;
  }

  get type(): number {
    return this.mode & types.mask;
  }

  /** overlayfs's mark of a deleted name. */
  get isWhiteout(): boolean {
    return this.type === types.character && this.device[0] === 0 && this.device[1] === 0;
  }

  setXattr(name: string, value: Buffer): void {
    this.xattrs ??= new Map();
    this.xattrs.set(name, value);
  }
}
