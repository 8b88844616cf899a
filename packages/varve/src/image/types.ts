import type { Descriptor, Digest, DiffID, ImageConfig, Platform } from '../oci/index.ts';

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
