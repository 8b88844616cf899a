import type { Readable } from 'node:stream';
import type { RegistryCredentials } from '../distribution/index.ts';
import type { LayerBlob } from '../layer/index.ts';
import type {
  ChainID,
  ContainerConfig,
  Descriptor,
  DiffID,
  Digest,
  ImageConfig,
  Platform,
} from '../oci/index.ts';

/** One image of the local store; its id is the digest of its config, as in Docker's classic store. */
export interface LocalImage {
  readonly id: Digest;
  readonly config: ImageConfig;
  /** The config's bytes as received or built. */
  readonly configDescriptor: Descriptor;
  /** The manifest under which the image was pulled, loaded or made: pushing it again gives the same digest. */
  readonly manifest: Descriptor;
  /** Sum of the layers' sizes (file content bytes). */
  readonly size: number;
  /** Canonical references, `docker.io/library/app:latest`. */
  readonly tags: readonly string[];
  /** Canonical `docker.io/library/app@sha256:…`. */
  readonly digests: readonly string[];
  /** Milliseconds since 1970 of its arrival in this store. */
  readonly storedAt: number;
  /** When it was last tagged (Docker's Metadata.LastTagTime); undefined when never. */
  readonly lastTaggedAt: number | undefined;
  /** Id of the image it was built or committed from, when that is known and here. */
  readonly parent: Digest | undefined;
}

/** A layer as the store keeps it: its blob, and what it unpacks to. */
export interface StoredLayer {
  readonly diffId: DiffID;
  /** The blob in the content store, compressed or not. */
  readonly blob: Descriptor;
  /** Bytes of file content. */
  readonly size: number;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
}

/** Progress of a transfer; a view turns it into bars, Docker's JSON lines or plain text. */
export type TransferEvent =
  | { readonly type: 'resolving'; readonly reference: string }
  | { readonly type: 'resolved'; readonly reference: string; readonly digest: Digest }
  | {
      readonly type: 'layer';
      /** Digest of the blob (pull) or DiffID (push). */
      readonly digest: Digest;
      readonly state:
        | 'waiting'
        | 'preparing'
        | 'downloading'
        | 'verifying'
        | 'downloaded'
        | 'extracting'
        | 'complete'
        | 'exists'
        | 'pushing'
        | 'pushed'
        | 'mounted'
        | 'retrying';
      readonly current?: number;
      readonly total?: number;
      /** The other repository, for `mounted`. */
      readonly from?: string;
      /** Seconds until the next try, for `retrying`. */
      readonly wait?: number;
    }
  | {
      readonly type: 'done';
      readonly reference: string;
      readonly digest: Digest;
      readonly size: number;
      readonly image?: Digest;
      readonly unchanged?: boolean;
    };

/** What building, committing and importing hand to the store. */
export interface NewImage {
  readonly config: ImageConfig;
  readonly parent?: Digest;
  readonly platform?: Platform;
}

/** One line of `docker history`, newest first. */
export interface HistoryItem {
  /** Image id where it is known, else `<missing>`. */
  readonly id: string;
  /** Milliseconds since 1970; 0 when unknown. */
  readonly created: number;
  readonly createdBy: string;
  /** Bytes of file content; 0 for an instruction that made no layer. */
  readonly size: number;
  readonly comment: string;
  readonly tags: readonly string[];
  /** undefined when the instruction made no layer. */
  readonly layer: StoredLayer | undefined;
}

/** One line of `docker rmi`. */
export type RemovedItem = { readonly untagged: string } | { readonly deleted: Digest };

export interface TransferOptions {
  readonly signal?: AbortSignal;
  readonly platform?: Platform;
  /** Credentials of this request; the store's own look-up is used when absent. */
  readonly credentials?: RegistryCredentials;
  readonly onEvent?: (event: TransferEvent) => void;
}

export interface CreateImageOptions {
  /**
   * False for an image that nobody was told of yet: losing power may lose its record, the end of the process does not.
   * Default true.
   */
  readonly durable?: boolean;
}

/**
 * The local images: records in SQLite, blobs in the content store, unpacked layers in the storage driver.
 * References given in are Docker's (`app`, `app:1`, `host/app@sha256:…`); those kept are canonical.
 */
export interface ImageStore {
  list(): readonly LocalImage[];
  get(id: Digest): LocalImage | undefined;
  /** By reference, id or unique id prefix. @throws `not-found` in Docker's words (`No such image: x:latest`). */
  resolve(nameOrId: string): LocalImage;
  /** Adds or moves a tag. @throws `invalid` for a reference with a digest or a bad name. */
  tag(id: Digest, reference: string): void;
  /**
   * Docker's rules: a tag of several is only untagged; an image in use or with children stays.
   * @param inUse says which containers use the image; a stopped one yields to `force`, a running one never.
   */
  remove(
    nameOrId: string,
    options: {
      readonly force?: boolean;
      readonly noPrune?: boolean;
      readonly inUse: (id: Digest) => readonly { readonly id: string; readonly running: boolean }[];
    },
  ): Promise<readonly RemovedItem[]>;
  /** Removes images without tags (or all unused with `all`) that nothing uses and that have no children. */
  prune(options: {
    readonly all?: boolean;
    readonly keep: (image: LocalImage) => boolean;
  }): Promise<{ readonly removed: readonly RemovedItem[]; readonly bytes: number }>;
  /** Bottom first, one for each DiffID of the config. */
  layers(image: LocalImage): readonly StoredLayer[];
  /** Every blob the image needs: index, manifest, config, layers. */
  blobs(image: LocalImage): readonly Digest[];
  /** The record of a layer, whether or not an image has it. */
  layer(diffId: DiffID): StoredLayer | undefined;
  /** Ids of images whose record cannot be read: they are not listed, and {@link ImageStore.rebuild} brings them back. */
  unreadable(): readonly Digest[];
  /**
   * Records images anew whose manifest, config and layers are all among the blobs but that have no readable record, without
   * names where these were lost too. @returns their ids.
   */
  rebuild(options?: { readonly signal?: AbortSignal }): Promise<readonly Digest[]>;
  /** Writes the manifest of an image that was made here once more. False when it was another's. */
  remakeManifest(image: LocalImage): Promise<boolean>;
  /** Makes sure the image's snapshots are unpacked and gives the top one; undefined for an image without layers. */
  unpack(image: LocalImage, options?: { readonly signal?: AbortSignal }): Promise<ChainID | undefined>;
  /** Records a layer blob that was written to a temporary path of the content store; the file is taken over. */
  addLayer(blob: LayerBlob, path: string): Promise<StoredLayer>;
  /** Stores config and manifest of a new image whose layers are all known, and tags it. Idempotent by content. */
  create(image: NewImage, tags?: readonly string[], options?: CreateImageOptions): Promise<LocalImage>;
  /** Brings to disk what {@link ImageStore.create} recorded with `durable: false`. */
  flush(): void;
  history(image: LocalImage): readonly HistoryItem[];
  pull(reference: string, options?: TransferOptions): Promise<LocalImage>;
  push(reference: string, options?: TransferOptions): Promise<Descriptor>;
  /** Reads a docker-archive or an OCI layout (tar, any compression). */
  load(archive: Readable, options?: { readonly signal?: AbortSignal }): Promise<readonly LoadedImage[]>;
  /** Writes a docker-archive that is an OCI layout at the same time, as `docker save` does since 25. */
  save(names: readonly string[], options?: { readonly signal?: AbortSignal }): Readable;
  /** Makes a one-layer image of a tar of a root file system (`docker import`). */
  import(
    archive: Readable,
    options: {
      readonly reference?: string;
      readonly message?: string;
      readonly config?: ContainerConfig;
      readonly platform?: Platform;
      readonly signal?: AbortSignal;
    },
  ): Promise<LocalImage>;
  /**
   * Blobs and layers nobody needs any more are deleted; returns the bytes freed.
   * @param options.abandoned also those of downloads that were broken off and could be taken up again.
   */
  collect(options?: { readonly abandoned?: boolean }): Promise<number>;
}

export interface LoadedImage {
  readonly image: LocalImage;
  /** Familiar reference it was loaded under; undefined when the archive named none. */
  readonly reference: string | undefined;
}
