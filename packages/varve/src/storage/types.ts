import type { Change, Compression, LayerBlob } from '../layer/index.ts';
import type { ChainID, DiffID } from '../oci/index.ts';

/** Whether a driver can run on this kernel and data root, and if not why, in one line. */
export type Probe = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/**
 * A snapshot is *committed* (read-only, named by its ChainID, the parent of others) or *active* (one writable
 * layer, named by a container's or a build step's id). A committed one never changes.
 */
export interface SnapshotInfo {
  readonly key: string;
  readonly kind: 'committed' | 'active';
  readonly parent: ChainID | undefined;
}

export interface LayerToApply {
  /** Name of the new committed snapshot. */
  readonly chainId: ChainID;
  /** Committed snapshot below it; undefined for the bottom layer. */
  readonly parent: ChainID | undefined;
  /** What the uncompressed tar must hash to. */
  readonly diffId: DiffID;
  /** File of the layer blob and how it is compressed. */
  readonly path: string;
  readonly compression: Compression | 'auto';
}

export interface Usage {
  /** Bytes on disk that are this snapshot's own. */
  readonly bytes: number;
  /** Sum of the sizes of its files, hard links once: what `docker ps --size` shows for a container. */
  readonly contentBytes: number;
  readonly inodes: number;
}

export interface OperationOptions {
  readonly signal?: AbortSignal;
}

/** Something wrong with a driver's own files. */
export interface SnapshotProblem {
  /**
   * `record-unreadable`: a folder whose record is lost; `parent-missing`: what it stands on is not there; `damaged`: its
   * files are not what was unpacked; `mount-leaked`: mounted, and nobody uses it; `leftover`: half made or half deleted.
   */
  readonly kind: 'record-unreadable' | 'parent-missing' | 'damaged' | 'mount-leaked' | 'leftover';
  /** Key of the snapshot; the folder's name where its record cannot be read; a path for mounts and leftovers. */
  readonly subject: string;
  readonly detail: string;
}

export interface SnapshotCheckOptions extends OperationOptions {
  /** The blob a committed snapshot was unpacked from, to compare with; undefined leaves its files unread. */
  readonly layerOf?: (chainId: ChainID) => LayerToApply | undefined;
  /** Called before each snapshot. */
  readonly onSnapshot?: (key: string) => void;
}

/** One way of keeping and stacking layers. Every driver passes storage/testing's suite. */
export interface StorageDriver {
  readonly name: string;
  /** Feature tests with real mounts under the driver's folder. */
  probe(): Promise<Probe>;
  /** Pairs for `docker info`: Backing Filesystem, Supports d_type, … */
  status(): readonly (readonly [string, string])[];
  /**
   * Unpacks a layer and commits it, atomically and idempotently; concurrent calls for one ChainID do the work once.
   * `parent` need not be committed yet when {@link StorageDriver.independentLayers} is true.
   * @returns the bytes of file content (Docker's layer size).
   * @throws VarveError `data-loss` `DIFFID_MISMATCH`; `invalid` for a hostile or broken archive. Nothing is left then.
   */
  apply(
    layer: LayerToApply,
    options?: OperationOptions,
  ): Promise<{ readonly size: number; readonly tarSize: number }>;
  /** True when layers of one image can be unpacked at the same time, in any order. */
  readonly independentLayers: boolean;
  /** True when every snapshot holds all that is below it, too. Default false. */
  readonly copiesParents?: boolean;
  has(key: string): boolean;
  info(key: string): SnapshotInfo | undefined;
  list(): Iterable<SnapshotInfo>;
  /** Bytes that a container may write when it asks for no size of its own (`--storage-opt overlay2.size=10G`). */
  readonly defaultSize?: number | undefined;
  /** Makes an active snapshot on `parent`. @throws `conflict` when the key exists, `not-found` without the parent. */
  prepare(key: string, parent: ChainID | undefined, options?: { readonly size?: number }): Promise<void>;
  /** Mounts it (or counts one more user of the mount) and gives the root of the merged tree. */
  mount(key: string, options?: { readonly readOnly?: boolean }): Promise<string>;
  /** Ends one use; the last one unmounts. Never fails because it is not mounted. */
  unmount(key: string): Promise<void>;
  /** What `docker diff` shows, sorted by path. */
  changes(key: string): Promise<Change[]>;
  /**
   * Writes the active snapshot's diff as a layer blob to a new file at `output`. The snapshot stays as it is.
   * @param options.exclude absolute paths that are not the user's doing; with them the result is no base for `commit`.
   */
  diff(
    key: string,
    output: string,
    compression: Compression,
    options?: OperationOptions & { readonly exclude?: readonly string[] },
  ): Promise<LayerBlob>;
  /** Turns an active snapshot into the committed `chainId` without copying; a `chainId` that exists already drops it. */
  commit(key: string, chainId: ChainID): Promise<void>;
  usage(key: string): Promise<Usage>;
  /** Folders and files that are the snapshot's, for accounting; absent where they cannot be told apart (a pool of blocks). */
  paths?(key: string): readonly string[];
  /** Data for `GraphDriver.Data` in inspect: LowerDir, UpperDir, … */
  metadata(key: string): Record<string, string>;
  /** @throws `conflict` when it has children or is mounted. Removing what is not there does nothing. */
  remove(key: string): Promise<void>;
  /** Compares records, files and mounts; changes nothing. Absent where a driver cannot. */
  check?(options?: SnapshotCheckOptions): Promise<readonly SnapshotProblem[]>;
  /**
   * Unpacks a committed snapshot's layer once more in place of what is there, which is moved to the path `aside`.
   * @throws VarveError `conflict` while something mounted stands on it.
   */
  rederive?(layer: LayerToApply, aside: string, options?: OperationOptions): Promise<void>;
  /**
   * Ends what {@link StorageDriver.check} found: unmounts, finishes deletions, moves what cannot be used to the path
   * `aside`. False when nothing was done.
   */
  clear?(problem: SnapshotProblem, aside: string): Promise<boolean>;
  /**
   * Takes an active snapshot out of use with its files, which are moved to the path `target`. False when there is none.
   * @throws VarveError `conflict` while it is in use.
   */
  setAside?(key: string, target: string): Promise<boolean>;
  /**
   * Before the driver's folder is deleted, of which nobody uses anything any more: ends what it has in the kernel besides
   * mounts, and deletes what it keeps elsewhere. Does nothing the second time. Absent where all is in the folder.
   */
  destroy?(): Promise<void>;
  /** After a crash: finishes or drops what was half done, unmounts what nobody uses. Says what it did. */
  recover(): Promise<readonly string[]>;
  close(): Promise<void>;
}
