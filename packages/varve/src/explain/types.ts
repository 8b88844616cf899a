import type { DiffID, Digest } from '../oci/index.ts';

/** What a path is. */
export type FileType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'hardlink'
  | 'character-device'
  | 'block-device'
  | 'fifo';

/** One entry of a layer's tar, in the order of the tar. Whiteouts come by their names in it (`.wh.x`, `.wh..wh..opq`). */
export interface LayerEntry {
  /** As in the tar; cleaned here. */
  readonly path: string;
  readonly type: FileType;
  /** Bytes of content; 0 for what has none. */
  readonly size: number;
  /** Permission bits, 12 of them. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since 1970; fractions are kept. */
  readonly mtime: number;
  /** Target of a symbolic or hard link. */
  readonly linkName?: string;
  /** Digest of a file's content, where it was computed: without it a copy with other attributes is told as overwritten. */
  readonly digest?: Digest;
  /** Stands for all extended attributes, equal when they are equal. */
  readonly xattrs?: string;
}

/** A layer to be explained. */
export interface ExplainLayer {
  readonly entries: Iterable<LayerEntry>;
  readonly diffId?: DiffID;
  /** `created_by` of its history entry. */
  readonly instruction?: string;
}

/** Bottom layer first. */
export interface ExplainImage {
  readonly layers: readonly ExplainLayer[];
}

/** Which layer, in words a person can follow. */
export interface LayerName {
  /** 0 is the bottom one. */
  readonly index: number;
  readonly diffId?: DiffID;
  readonly instruction?: string;
}

/** What a layer holds for a path, plainly. */
export interface FileFacts {
  readonly type: FileType;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly linkName?: string;
  readonly digest?: Digest;
}

/** How a layer keeps what lies below it from being seen. */
export type Hiding =
  /** A whiteout of the path or of a folder above it. */
  | { readonly by: 'whiteout'; readonly at: string }
  /** A folder above that shows nothing of the layers below. */
  | { readonly by: 'opaque-folder'; readonly at: string }
  /** Something that is no folder in the place of a folder above. */
  | { readonly by: 'not-a-folder'; readonly at: string }
  /** Another version of the path itself. */
  | { readonly by: 'replacement'; readonly at: string };

/** An attribute in which two versions of a file differ. */
export type Difference = 'type' | 'content' | 'size' | 'mode' | 'owner' | 'mtime' | 'xattrs' | 'target';
