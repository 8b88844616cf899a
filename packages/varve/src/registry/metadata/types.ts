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

/** `referenced`: something needs it. `immutable`: one of its tags must stay. */
export type Deletion = 'deleted' | 'unknown' | 'referenced' | 'immutable';

/** Bytes that a repository, or all repositories of a namespace together, may be billed for. */
export interface QuotaLimit {
  readonly scope: 'repository' | 'namespace';
  /** A repository's name, or the path that those of a namespace begin with (`team-a` of `team-a/app` and `team-a`). */
  readonly name: string;
  readonly bytes: number;
}

export interface WriteRules {
  /** Checked in the writing transaction. A write that bills nothing new passes however much is used. */
  readonly limits?: readonly QuotaLimit[];
  /** Tags that never point elsewhere once they point at something. */
  readonly immutable?: ((tag: string) => boolean) | undefined;
  /** Recorded with the change, when it is made. */
  readonly deliveries?: readonly NewDelivery[];
}

/** A notification for an endpoint. */
export interface NewDelivery {
  readonly endpoint: string;
  readonly body: string;
}

/** One that a server has taken on; times in milliseconds since 1970. */
export interface ClaimedDelivery extends NewDelivery {
  readonly id: number;
  readonly createdAt: number;
  /** Attempts before this one. */
  readonly attempts: number;
}

/** What a repository is billed for: the bytes of its blobs and manifests, each counted once in it. */
export interface RepositoryUsage {
  readonly repository: string;
  readonly bytes: number;
}

/** A tag with what retention judges it by; times in milliseconds since 1970. */
export interface TagRecord {
  readonly name: string;
  readonly digest: Digest;
  readonly updatedAt: number;
  readonly pulledAt: number | undefined;
}

/** A manifest (by digest) or a tag (by name) that changed since it was copied to storage. */
export interface Uncopied {
  readonly id: number;
  readonly version: number;
  readonly kind: 'manifest' | 'tag';
  readonly repository: string;
  readonly name: string;
}

/** A pull to be remembered: of a tag, or by digest, which counts for every tag that points there. */
export interface Pull {
  readonly repository: string;
  readonly reference: { readonly tag: string } | { readonly digest: Digest };
  readonly at: number;
}

/**
 * The records: which repository has which blobs, manifests and tags, and who refers to whom, each kept in both
 * directions, so that no question walks the storage. Every method is one transaction; when a writing one returns,
 * its effect is durable.
 */
export interface MetadataStore {
  /**
   * Runs `work` while nobody else, on whatever node, does so for the same blob: it is not committed and deleted at once.
   */
  inBlobTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T>;
  /**
   * As {@link MetadataStore.blob}, and remembers that a client was told so, unless that is remembered since `since`
   * (milliseconds since 1970): it may name the blob in a manifest without sending it again, and other nodes collect, too.
   * Absent where there is one node, which knows.
   */
  useBlob?(repository: string, digest: Digest, since: number): Awaitable<BlobRecord | undefined>;

  hasRepository(repository: string): Awaitable<boolean>;
  repositories(page: Page): Awaitable<string[]>;

  blob(repository: string, digest: Digest): Awaitable<BlobRecord | undefined>;
  /** Records a blob that is whole in storage, as one of the repository's. */
  addBlob(repository: string, blob: BlobRecord, rules?: WriteRules): Awaitable<void>;
  /** Gives `repository` a blob that another has; false when no record has it. */
  linkBlob(repository: string, digest: Digest, rules?: WriteRules): Awaitable<boolean>;
  /** The repositories that have a blob, `limit` at most. */
  repositoriesOfBlob(digest: Digest, limit: number): Awaitable<string[]>;
  /** The subject that a manifest names; undefined when it names none, or is not here. */
  subjectOf(repository: string, digest: Digest): Awaitable<Digest | undefined>;
  /** Indexes of the repository that list a manifest, `limit` at most. */
  indexesOf(repository: string, digest: Digest, limit: number): Awaitable<Digest[]>;
  /** Manifests of the repository that name a blob, a hundred at most. */
  manifestsOfBlob(repository: string, digest: Digest): Awaitable<Digest[]>;
  /** `referenced` when a manifest of the repository needs it. */
  removeBlob(repository: string, digest: Digest): Awaitable<Deletion>;

  manifestByTag(repository: string, tag: string): Awaitable<ManifestRecord | undefined>;
  manifestByDigest(repository: string, digest: Digest): Awaitable<ManifestRecord | undefined>;
  manifestContent(repository: string, digest: Digest): Awaitable<Uint8Array | undefined>;
  /**
   * Stores a manifest and points the tags at it, all or nothing.
   * @throws RegistryError `MANIFEST_BLOB_UNKNOWN` naming every blob that the repository lacks, `SIZE_INVALID` when a
   * descriptor's size is not the blob's, `DENIED` for a tag that is immutable and points elsewhere, and over a quota.
   */
  putManifest(
    repository: string,
    manifest: NewManifest,
    tags: readonly string[],
    rules?: WriteRules,
  ): Awaitable<void>;
  /** Removes a manifest and every tag that points at it; nothing when one of those is immutable. */
  removeManifest(repository: string, digest: Digest, rules?: WriteRules): Awaitable<Deletion>;
  /** @param options.unchangedSince leaves a tag that was pushed after this time (milliseconds since 1970). */
  removeTag(
    repository: string,
    tag: string,
    options?: { readonly unchangedSince?: number | undefined; readonly deliveries?: readonly NewDelivery[] },
  ): Awaitable<Deletion>;
  tags(repository: string, page: Page): Awaitable<string[]>;
  /** Descriptors of the manifests whose subject is `subject`, by digest. */
  referrers(
    repository: string,
    subject: Digest,
    page: Page & { readonly artifactType?: string | undefined },
  ): Awaitable<Descriptor[]>;

  /** Tags with their times, by name. */
  tagRecords(repository: string, page: Page): Awaitable<TagRecord[]>;
  /** Remembers when tags were pulled. Not durable at once: a crash may lose it. */
  recordPulls(pulls: readonly Pull[]): Awaitable<void>;

  /** What a repository or a namespace is billed for; 0 for an unknown one. */
  usedBytes(scope: QuotaLimit['scope'], name: string): Awaitable<number>;
  usages(page: Page): Awaitable<RepositoryUsage[]>;
  /** What all repositories together are billed for. */
  totalBytes(): Awaitable<number>;

  /** Takes deliveries on that were due before `now`: until `until` no other server does. Oldest first. */
  claimDeliveries(now: number, until: number, limit: number): Awaitable<ClaimedDelivery[]>;
  /** Counts an attempt that failed. */
  postponeDelivery(id: number, dueAt: number): Awaitable<void>;
  dropDelivery(id: number): Awaitable<void>;

  /** Manifests and tags whose copy in storage is not what is here, oldest first. */
  uncopied(limit: number): Awaitable<Uncopied[]>;
  /** Takes one off that list, unless it changed since. */
  copied(item: Uncopied): Awaitable<void>;

  readonly garbage: GarbageRecords;
  readonly scrubbing: ScrubRecords;
  readonly robots: RobotRecords;
  readonly logouts: LogoutRecords;
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

export type ReviewKind = 'manifest' | 'link' | 'blob';

/** Something that needs what is under review. Ids are the store's own. */
export type Need =
  | { readonly kind: 'tag'; readonly name: string }
  /** An index that lists the manifest, a subject of it, or a manifest that names the blob. */
  | { readonly kind: 'index' | 'subject' | 'manifest'; readonly digest: Digest; readonly id: number }
  | { readonly kind: 'repository'; readonly name: string; readonly id: number };

/** A manifest, a repository's link to a blob, or a blob, that may have lost its last need. */
export interface UnderReview {
  readonly kind: ReviewKind;
  /** Of the row that is reviewed: of a manifest, or of a blob. */
  readonly id: number;
  /** Empty for a blob, which belongs to none. */
  readonly repository: string;
  readonly repositoryId: number;
  readonly digest: Digest;
  /** Bytes; of a link, those of its blob. */
  readonly size: number;
  /** When it was pushed, linked or stored. */
  readonly since: number;
  /** The first hundred at most; none when it may go. */
  readonly needs: readonly Need[];
}

/**
 * What the collector works from: a list of what may have lost its last need, kept by the store with every change, so that
 * a collection costs what changed and not what there is. Each call looks at `limit` rows after the cursor: it must not hold
 * up the requests that are served meanwhile. `before` is a time in milliseconds since 1970: what is younger is left.
 */
export interface GarbageRecords {
  /** Puts every record under review, for when the list is not trusted; finds how many were looked at. */
  reviewAll(limit: number, cursor?: SweepCursor): Awaitable<SweepStep<number>>;
  /** What is under review, with what needs it. Changes nothing. */
  underReview(
    kind: ReviewKind,
    before: number,
    limit: number,
    cursor?: SweepCursor,
  ): Awaitable<SweepStep<readonly UnderReview[]>>;
  /**
   * One transaction: removes those that nothing needs and takes those that something needs off the list; finds the removed.
   * Blobs are not removed, only found: their bytes go under {@link GarbageRecords.forgetBlob}.
   * @param keep left alone and on the list.
   */
  review(
    kind: ReviewKind,
    before: number,
    limit: number,
    keep: (digest: Digest) => boolean,
    cursor?: SweepCursor,
  ): Awaitable<SweepStep<readonly UnderReview[]>>;
  /** Removes the record of a blob, when still no repository has it. */
  forgetBlob(digest: Digest): Awaitable<boolean>;
  knowsBlob(digest: Digest): Awaitable<boolean>;
}

/** Blobs whose bytes are not what their name says: nobody is shown them until they are pushed again. */
export interface ScrubRecords {
  /** Stored blobs in the order of their digests, with whether they are known to be damaged. */
  blobs(page: Page): Awaitable<readonly (BlobRecord & { readonly damaged: boolean })[]>;
  /** Hides a blob, or shows it again. */
  setDamaged(digest: Digest, damaged: boolean): Awaitable<void>;
  /** Repositories and manifests that name a blob, a hundred at most: whom the damage concerns. */
  concerned(digest: Digest): Awaitable<readonly { readonly repository: string; readonly manifest: Digest }[]>;
}

/** What a robot may do where; the words of `auth.rules`. */
export interface RobotGrant {
  readonly repositories: readonly string[];
  readonly actions: readonly string[];
}

/** An account for a machine. Times in milliseconds since 1970. */
export interface RobotRecord {
  readonly name: string;
  /** Of its secret, which is shown once and not kept. */
  readonly secretHash: string;
  readonly grants: readonly RobotGrant[];
  readonly description: string | undefined;
  readonly createdAt: number;
  /** undefined for never. */
  readonly expiresAt: number | undefined;
}

/** Sessions of people that were ended before their time, for every node to know. Times in milliseconds since 1970. */
export interface LogoutRecords {
  /** Remembers it, and forgets those that would be over by `now`. @param expiresAt when the session would have ended by itself */
  add(session: string, expiresAt: number, now: number): Awaitable<void>;
  has(session: string): Awaitable<boolean>;
}

/** Robot accounts. Each call is one transaction. */
export interface RobotRecords {
  /** False when there is one of that name. */
  add(robot: RobotRecord): Awaitable<boolean>;
  find(name: string): Awaitable<RobotRecord | undefined>;
  list(): Awaitable<RobotRecord[]>;
  /** False when there was none. */
  remove(name: string): Awaitable<boolean>;
}
