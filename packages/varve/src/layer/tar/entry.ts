import type { TimeSpec } from '../../linux/index.ts';

/** What an entry is. `other` is kept with its type flag for whoever knows it. */
export type TarEntryType =
  | 'file'
  | 'hardlink'
  | 'symlink'
  | 'character-device'
  | 'block-device'
  | 'directory'
  | 'fifo'
  | 'other';

/** An extended attribute; both parts are bytes. */
export interface Xattr {
  readonly name: Buffer;
  readonly value: Buffer;
}

/** A piece of a sparse file that is stored; what lies between pieces reads as zeros. */
export interface SparseRegion {
  readonly offset: number;
  readonly size: number;
}

/** What an entry says about a file. Names and values are bytes: nothing says they are UTF-8. */
export interface TarMetadata {
  readonly type: TarEntryType;
  /** As in the archive: not normalised, not confined. */
  readonly name: Buffer;
  /** Target of a symbolic link, or the name in the archive that a hard link links to; empty otherwise. */
  readonly linkName: Buffer;
  /** Permission bits with setuid, setgid and sticky: 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly userName: Buffer;
  readonly groupName: Buffer;
  /** Bytes of the file's content, holes included; 0 for what has none. */
  readonly size: number;
  readonly mtime: TimeSpec;
  readonly atime?: TimeSpec;
  readonly ctime?: TimeSpec;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly xattrs: readonly Xattr[];
}

/** An entry read from an archive, with its place there. */
export interface TarEntry extends TarMetadata {
  /** The type flag's byte. */
  readonly typeFlag: number;
  /** Where its first header block starts, extended headers included. */
  readonly headerOffset: number;
  /** Where its stored content starts. */
  readonly dataOffset: number;
  /** Bytes of content in the archive: less than `size` for a sparse file. */
  readonly storedSize: number;
  /** The stored pieces of a sparse file; undefined for an ordinary one. */
  readonly sparse: readonly SparseRegion[] | undefined;
}

export const blockSize = 512;

/** Bytes of padding after `size` bytes of content. */
export function paddingAfter(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}
