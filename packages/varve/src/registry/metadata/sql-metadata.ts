import type { Descriptor, Digest } from '../../oci/index.ts';
import {
  addBlob,
  findBlob,
  isBlobWhole,
  linkBlob,
  manifestsOfBlob,
  repositoriesOfBlob,
  unlinkBlob,
} from './blobs.ts';
import { listUncopied, markCopied } from './copies.ts';
import { addDeliveries, claimDeliveries, dropDelivery, postponeDelivery } from './deliveries.ts';
import { Garbage } from './garbage.ts';
import {
  indexesOf,
  listReferrers,
  listTagRecords,
  listTags,
  manifestByDigest,
  manifestByTag,
  manifestContent,
  recordPull,
  removeManifest,
  removeTag,
  subjectOf,
} from './manifests.ts';
import { putManifest } from './put-manifest.ts';
import { listRepositories, Repositories } from './repositories.ts';
import { Logouts } from './logouts.ts';
import { Robots } from './robots.ts';
import { Scrubbing } from './scrub.ts';
import type { Records, Steps } from './steps.ts';
import type {
  Awaitable,
  BlobRecord,
  ClaimedDelivery,
  Deletion,
  ManifestRecord,
  MetadataStore,
  NewDelivery,
  NewManifest,
  Page,
  Pull,
  QuotaLimit,
  RepositoryUsage,
  TagRecord,
  Uncopied,
  WriteRules,
} from './types.ts';
import { listUsages, totalBytes, usedBytes, within } from './usage.ts';

/** The records in SQL, whatever database they are in: this is the methods, statements are in the files beside it. */
export abstract class SqlMetadata implements MetadataStore {
  readonly garbage: Garbage;
  readonly scrubbing: Scrubbing;
  readonly robots: Robots;
  readonly logouts: Logouts;
  readonly #records: Records;
  readonly #repositories = new Repositories();

  constructor(records: Records) {
    this.#records = records;
    this.garbage = new Garbage(records);
    this.scrubbing = new Scrubbing(records);
    this.robots = new Robots(records);
    this.logouts = new Logouts(records);
  }

  abstract inBlobTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T>;
  abstract close(): Awaitable<void>;

  async hasRepository(repository: string): Promise<boolean> {
    return (await this.#records.read(this.#repositories.id(repository))) !== undefined;
  }

  repositories(page: Page): Awaitable<string[]> {
    return this.#records.read(listRepositories(page));
  }

  blob(repository: string, digest: Digest): Awaitable<BlobRecord | undefined> {
    return this.#read(repository, undefined, (id) => findBlob(id, digest));
  }

  addBlob(repository: string, blob: BlobRecord, { limits }: WriteRules = {}): Promise<void> {
    return this.#push(repository, limits, (id) => addBlob(id, blob));
  }

  linkBlob(repository: string, digest: Digest, { limits }: WriteRules = {}): Promise<boolean> {
    const repositories = this.#repositories;
    return this.#records.write(function* () {
      if (!(yield* isBlobWhole(digest))) return false;
      const id = yield* repositories.idOrCreate(repository);
      yield* within(limits, linkBlob(id, digest));
      return true;
    });
  }

  repositoriesOfBlob(digest: Digest, limit: number): Awaitable<string[]> {
    return this.#records.read(repositoriesOfBlob(digest, limit));
  }

  subjectOf(repository: string, digest: Digest): Awaitable<Digest | undefined> {
    return this.#read(repository, undefined, (id) => subjectOf(id, digest));
  }

  indexesOf(repository: string, digest: Digest, limit: number): Awaitable<Digest[]> {
    return this.#read(repository, [], (id) => indexesOf(id, digest, limit));
  }

  manifestsOfBlob(repository: string, digest: Digest): Awaitable<Digest[]> {
    return this.#read(repository, [], (id) => manifestsOfBlob(id, digest));
  }

  removeBlob(repository: string, digest: Digest): Promise<Deletion> {
    return this.#remove(repository, (id) => unlinkBlob(id, digest));
  }

  manifestByTag(repository: string, tag: string): Awaitable<ManifestRecord | undefined> {
    return this.#read(repository, undefined, (id) => manifestByTag(id, tag));
  }

  manifestByDigest(repository: string, digest: Digest): Awaitable<ManifestRecord | undefined> {
    return this.#read(repository, undefined, (id) => manifestByDigest(id, digest));
  }

  manifestContent(repository: string, digest: Digest): Awaitable<Uint8Array | undefined> {
    return this.#read(repository, undefined, (id) => manifestContent(id, digest));
  }

  putManifest(
    repository: string,
    manifest: NewManifest,
    tags: readonly string[],
    rules: WriteRules = {},
  ): Promise<void> {
    return this.#push(
      repository,
      rules.limits,
      (id) => putManifest(id, manifest, tags, rules),
      rules.deliveries,
    );
  }

  removeManifest(repository: string, digest: Digest, rules: WriteRules = {}): Promise<Deletion> {
    return this.#remove(repository, (id) => removeManifest(id, digest, rules), rules.deliveries);
  }

  removeTag(
    repository: string,
    tag: string,
    options: {
      readonly unchangedSince?: number | undefined;
      readonly deliveries?: readonly NewDelivery[];
    } = {},
  ): Promise<Deletion> {
    return this.#remove(repository, (id) => removeTag(id, tag, options.unchangedSince), options.deliveries);
  }

  tags(repository: string, page: Page): Awaitable<string[]> {
    return this.#read(repository, [], (id) => listTags(id, page));
  }

  referrers(
    repository: string,
    subject: Digest,
    page: Page & { readonly artifactType?: string | undefined },
  ): Awaitable<Descriptor[]> {
    return this.#read(repository, [], (id) => listReferrers(id, subject, page));
  }

  tagRecords(repository: string, page: Page): Awaitable<TagRecord[]> {
    return this.#read(repository, [], (id) => listTagRecords(id, page));
  }

  recordPulls(pulls: readonly Pull[]): Awaitable<void> {
    return this.#records.note(recordPulls(this.#repositories, pulls));
  }

  usedBytes(scope: QuotaLimit['scope'], name: string): Awaitable<number> {
    return this.#records.read(usedBytes(scope, name));
  }

  usages(page: Page): Awaitable<RepositoryUsage[]> {
    return this.#records.read(listUsages(page));
  }

  totalBytes(): Awaitable<number> {
    return this.#records.read(totalBytes());
  }

  // A claim or a delay that is undone sends a notification once more; receivers know each by its id.
  claimDeliveries(now: number, until: number, limit: number): Awaitable<ClaimedDelivery[]> {
    return this.#records.note(claimDeliveries(now, until, limit, this.#records.dialect.skipLocked));
  }

  postponeDelivery(id: number, dueAt: number): Awaitable<void> {
    return this.#records.note(postponeDelivery(id, dueAt));
  }

  dropDelivery(id: number): Promise<void> {
    return this.#records.write(() => dropDelivery(id));
  }

  uncopied(limit: number): Awaitable<Uncopied[]> {
    return this.#records.read(listUncopied(limit));
  }

  copied(item: Uncopied): Awaitable<void> {
    return this.#records.note(markCopied(item));
  }

  /** Reads of a repository; `none` where there is none of that name. */
  #read<T>(repository: string, none: T, work: (id: number) => Steps<T>): Awaitable<T> {
    return this.#records.read(readIn(this.#repositories, repository, none, work));
  }

  /** Writes to a repository, which comes into being, within the limits. */
  #push(
    repository: string,
    limits: readonly QuotaLimit[] | undefined,
    work: (id: number) => Steps<void>,
    deliveries?: readonly NewDelivery[],
  ): Promise<void> {
    const repositories = this.#repositories;
    return this.#records.write(function* () {
      const id = yield* repositories.idOrCreate(repository);
      yield* within(limits, work(id));
      yield* addDeliveries(deliveries);
    });
  }

  #remove(
    repository: string,
    work: (id: number) => Steps<Deletion>,
    deliveries?: readonly NewDelivery[],
  ): Promise<Deletion> {
    const repositories = this.#repositories;
    return this.#records.write(function* () {
      const id = yield* repositories.idInWrite(repository);
      const deletion = id === undefined ? 'unknown' : yield* work(id);
      if (deletion === 'deleted') yield* addDeliveries(deliveries);
      return deletion;
    });
  }
}

function* readIn<T>(
  repositories: Repositories,
  repository: string,
  none: T,
  work: (id: number) => Steps<T>,
): Steps<T> {
  const id = yield* repositories.id(repository);
  return id === undefined ? none : yield* work(id);
}

function* recordPulls(repositories: Repositories, pulls: readonly Pull[]): Steps<void> {
  for (const pull of pulls) {
    const id = yield* repositories.idInWrite(pull.repository);
    if (id !== undefined) yield* recordPull(id, pull);
  }
}
