import type { Descriptor, Digest } from '../../oci/index.ts';

/** At once from an embedded database, later from one across the network: callers always await. */
export type Awaitable<T> = T | Promise<T>;

/** A blob as one repository has it. */
export interface BlobRecord {
  readonly digest: Digest;
  readonly size: number;
}

/** What the head of a manifest's answer needs. */
export interface ManifestRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
}

export interface ManifestContent extends ManifestRecord {
  readonly bytes: Uint8Array;
}

/** A manifest to be stored, with all it names. */
export interface NewManifest extends ManifestContent {
  /** Blobs it cannot do without, with the size it claims where it does. */
  readonly blobs: readonly { readonly digest: Digest; readonly size?: number }[];
  /** Blobs that it names and that may be elsewhere (non-distributable layers). */
  readonly optionalBlobs: readonly Digest[];
  /** Manifests of an index; they may be absent (a sparse index). */
  readonly children: readonly Digest[];
  readonly subject?: Digest | undefined;
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** One page: `after` is the last name of the page before. Names ascend by their bytes. */
export interface Page {
  readonly after?: string | undefined;
  readonly limit: number;
}

export type Deletion = 'deleted' | 'unknown' | 'referenced';

/**
 * The records: which repository has which blobs, manifests and tags, and who refers to whom, each kept in both
 * directions, so that no question walks the storage. Every method is one transaction; when a writing one returns,
 * its effect is durable.
 */
export interface MetadataStore {
  hasRepository(repository: string): Awaitable<boolean>;
  repositories(page: Page): Awaitable<string[]>;

  blob(repository: string, digest: Digest): Awaitable<BlobRecord | undefined>;
  /** Records a blob that is whole in storage, as one of the repository's. */
  addBlob(repository: string, blob: BlobRecord): Awaitable<void>;
  /** Gives `repository` a blob that another has; false when no record has it. */
  linkBlob(repository: string, digest: Digest): Awaitable<boolean>;
  /** The repositories that have a blob, `limit` at most. */
  repositoriesOfBlob(digest: Digest, limit: number): Awaitable<string[]>;
  /** `referenced` when a manifest of the repository needs it. */
  removeBlob(repository: string, digest: Digest): Awaitable<Deletion>;

  manifestByTag(repository: string, tag: string): Awaitable<ManifestRecord | undefined>;
  manifestByDigest(repository: string, digest: Digest): Awaitable<ManifestRecord | undefined>;
  manifestContent(repository: string, digest: Digest): Awaitable<Uint8Array | undefined>;
  /**
   * Stores a manifest and points the tags at it, all or nothing.
   * @throws RegistryError `MANIFEST_BLOB_UNKNOWN` naming every blob that the repository lacks, `SIZE_INVALID` when a
   * descriptor's size is not the blob's.
   */
  putManifest(repository: string, manifest: NewManifest, tags: readonly string[]): Awaitable<void>;
  /** Removes a manifest and every tag that points at it. */
  removeManifest(repository: string, digest: Digest): Awaitable<Deletion>;
  removeTag(repository: string, tag: string): Awaitable<Deletion>;
  tags(repository: string, page: Page): Awaitable<string[]>;
  /** Descriptors of the manifests whose subject is `subject`, by digest. */
  referrers(
    repository: string,
    subject: Digest,
    page: Page & { readonly artifactType?: string | undefined },
  ): Awaitable<Descriptor[]>;

  readonly garbage: GarbageRecords;
  close(): Awaitable<void>;
}

/** Where a sweep stands; made by the store, opaque to its caller. */
export type SweepCursor = readonly number[];

/** One step of a sweep over all records of a kind. */
export interface SweepStep<T> {
  readonly found: T;
  /** Where to go on; undefined at the end. */
  readonly next: SweepCursor | undefined;
}

/**
 * The collector's sweeps. Each call looks at `limit` records after the cursor and no more, however few of them are
 * garbage: it must not hold up the requests that are served meanwhile. `before` is a time in milliseconds since 1970.
 * What is removed is asked about again in the removing transaction.
 */
export interface GarbageRecords {
  /** Removes manifests pushed before `before` that no tag, index or existing subject leads to; finds how many. */
  removeUntagged(before: number, limit: number, cursor?: SweepCursor): Awaitable<SweepStep<number>>;
  /** Removes links made before `before` to blobs that no manifest of their repository names, but those `keep` names. */
  removeUnusedLinks(
    before: number,
    limit: number,
    keep: (digest: Digest) => boolean,
    cursor?: SweepCursor,
  ): Awaitable<SweepStep<number>>;
  /** Finds blobs stored before `before` that no repository has. */
  unlinkedBlobs(before: number, limit: number, cursor?: SweepCursor): Awaitable<SweepStep<readonly Digest[]>>;
  /** Removes the record of a blob, when still no repository has it. */
  forgetBlob(digest: Digest): Awaitable<boolean>;
  knowsBlob(digest: Digest): Awaitable<boolean>;
}
