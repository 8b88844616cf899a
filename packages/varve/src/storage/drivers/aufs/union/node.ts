import type { FileStat } from '../../../../linux/index.ts';
import type { OpenFile } from './open-file.ts';

/** A branch's own folder behind a merged one. */
export interface Part {
  /** Index of the branch; 0 is the topmost. */
  readonly branch: number;
  /** Descriptor (O_PATH). */
  readonly fd: number;
}

/** A name under which a node is found. */
export interface Place {
  readonly folder: FolderNode;
  /** One character a byte. */
  readonly name: string;
}

interface CommonNode {
  readonly id: number;
  /** The inode number it shows: that of the file it was first found as, kept when it is copied up. */
  readonly inode: bigint;
  /** How often the kernel was told of it and has not forgotten it. */
  lookups: number;
}

export interface FolderNode extends CommonNode {
  readonly kind: 'folder';
  /** Undefined for the root, and after its removal. */
  place: Place | undefined;
  /** Nodes in it that the kernel knows. */
  readonly children: Map<string, UnionNode>;
  /** Topmost first; undefined while its descriptors are closed. */
  parts: readonly Part[] | undefined;
  /** What it was when it was removed, for those who are still in it. */
  removed: FileStat | undefined;
}

export interface FileNode extends CommonNode {
  readonly kind: 'file';
  /** Several for hard links; none once it is deleted. */
  readonly places: Place[];
  /** The branch that holds it. */
  branch: number;
  /** Its branch's inode number, while that has several names and it is found by it. */
  linked: bigint | undefined;
  /** Set while the kernel has it open. */
  open: OpenFile | undefined;
}

export type UnionNode = FolderNode | FileNode;
