import type { DiffID, Digest } from '../oci/index.ts';

/** How a layer blob is compressed. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** What a changed path went through, as `docker diff` shows it: A, C, D. */
export type ChangeKind = 'add' | 'modify' | 'delete';

/** One path of a diff; absolute, `/` separated, without a trailing slash. */
export interface Change {
  readonly path: string;
  readonly kind: ChangeKind;
}

/** A layer blob on disk to be applied. */
export interface LayerSource {
  readonly path: string;
  /** Where the caller does not know, `auto` looks at the first bytes. */
  readonly compression: Compression | 'auto';
}

/**
 * Where and how a layer is unpacked.
 * `overlay`: whiteouts become what overlayfs wants (character device 0/0, `trusted.overlay.opaque`), nothing else is
 * looked at: the folder holds this layer alone.
 * `aufs`: the same in AUFS's own form, which is that of the layer: `.wh.NAME` and `.wh..wh..opq`.
 * `apply`: the folder holds the parent's full tree; whiteouts delete, entries replace.
 */
export interface ApplyTarget {
  readonly root: string;
  readonly whiteouts: 'overlay' | 'aufs' | 'apply';
}

export interface ApplyResult {
  readonly diffId: DiffID;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** Sum of the sizes of the files' contents, hard links once: what Docker calls the layer's size. */
  readonly size: number;
  readonly entries: number;
  /**
   * Folders made for what is in them, without an entry of their own (some are gone again): what they look like is for
   * the layers below to say. Relative, one character a byte (latin1), parents first.
   */
  readonly impliedFolders: readonly string[];
}

/** Where a new layer's content comes from. */
export type DiffSource =
  /** A folder of overlayfs: all in it is the diff; whiteouts and opaque marks are read from the kernel's form. */
  /** The same of AUFS, with `.wh.NAME` and `.wh..wh..opq`. */
  | {
      readonly kind: 'overlay' | 'aufs';
      readonly upper: string;
      readonly lowers: readonly string[];
    }
  /** Two full trees, compared entry by entry; no lower means everything is added. */
  | {
      readonly kind: 'trees';
      readonly upper: string;
      readonly lower?: string;
      /**
       * When the upper one began as a snapshot of the lower one's blocks (milliseconds since 1970, not later than it was taken):
       * files that have kept inode number and status-change time since before then are the same and are not looked into.
       */
      readonly snapshotAt?: number;
    };

/** What writing a layer gave. */
export interface LayerBlob {
  readonly diffId: DiffID;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** Sum of the sizes of the files' contents, hard links once. */
  readonly size: number;
  /** Digest and bytes of the file as written (compressed). */
  readonly digest: Digest;
  readonly blobSize: number;
  readonly mediaType: string;
  readonly entries: number;
}
