import type { Descriptor, Digest } from '../../oci/index.ts';
import { KeyedLock } from '../../base/index.ts';
import { State } from '../../state/index.ts';
import { Blobs } from './blobs.ts';
import { Deliveries } from './deliveries.ts';
import { Garbage } from './garbage.ts';
import { GroupCommit } from './group-commit.ts';
import { Manifests } from './manifests.ts';
import { Repositories } from './repositories.ts';
import { openSqliteRobots } from './robots.ts';
import { registrySchema } from './schema.ts';
import { uncopiedOfRow } from './rows.ts';
import { Scrubbing } from './scrub.ts';
import { SqliteRecords } from './sqlite-records.ts';
import type {
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
  RobotRecords,
  TagRecord,
  Uncopied,
  WriteRules,
} from './types.ts';
import { Usage } from './usage.ts';

/** The records in one SQLite file: reads are indexed look-ups at once, writes share commits. */
export class SqliteMetadata implements MetadataStore {
  readonly garbage: Garbage;
  readonly scrubbing: Scrubbing;
  readonly robots: RobotRecords;
  readonly #state: State;
  readonly #commits: GroupCommit;
  readonly #repositories: Repositories;
  readonly #blobs: Blobs;
  readonly #manifests: Manifests;
  readonly #usage: Usage;
  readonly #deliveries: Deliveries;
  readonly #blobTurns = new KeyedLock();

  /** @param database its path, created when missing (`:memory:` for tests), or the open state, which is then closed with this. */
  constructor(database: string | State) {
    this.#state = typeof database === 'string' ? new State(database) : database;
    this.#state.migrate(registrySchema);
    const repositories = new Repositories(this.#state);
    this.#repositories = repositories;
    this.#commits = new GroupCommit(this.#state, () => repositories.forget());
    this.#blobs = new Blobs(this.#state);
    this.#manifests = new Manifests(this.#state, this.#blobs);
    this.#usage = new Usage(this.#state);
    this.#deliveries = new Deliveries(this.#state);
    const records = new SqliteRecords(this.#state, this.#commits);
    this.garbage = new Garbage(records);
    this.scrubbing = new Scrubbing(records);
    this.robots = openSqliteRobots(this.#state, records);
  }

  inBlobTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    return this.#blobTurns.run(digest, work);
  }

  hasRepository(repository: string): boolean {
    return this.#repositories.id(repository) !== undefined;
  }

  repositories(page: Page): string[] {
    return this.#repositories.list(page);
  }

  blob(repository: string, digest: Digest): BlobRecord | undefined {
    const id = this.#repositories.id(repository);
    return id === undefined ? undefined : this.#blobs.find(id, digest);
  }

  addBlob(repository: string, blob: BlobRecord, { limits }: WriteRules = {}): Promise<void> {
    return this.#commits.write(() => {
      const id = this.#repositories.idOrCreate(repository);
      this.#usage.within(limits, () => this.#blobs.add(id, blob));
    });
  }

  linkBlob(repository: string, digest: Digest, { limits }: WriteRules = {}): Promise<boolean> {
    return this.#commits.write(() => {
      if (!this.#blobs.isStored(digest)) return false;
      const id = this.#repositories.idOrCreate(repository);
      this.#usage.within(limits, () => this.#blobs.link(id, digest));
      return true;
    });
  }

  repositoriesOfBlob(digest: Digest, limit: number): string[] {
    return this.#blobs.repositoriesOf(digest, limit);
  }

  subjectOf(repository: string, digest: Digest): Digest | undefined {
    const id = this.#repositories.id(repository);
    return id === undefined ? undefined : this.#manifests.subjectOf(id, digest);
  }

  indexesOf(repository: string, digest: Digest, limit: number): Digest[] {
    const id = this.#repositories.id(repository);
    return id === undefined ? [] : this.#manifests.indexesOf(id, digest, limit);
  }

  manifestsOfBlob(repository: string, digest: Digest): Digest[] {
    const id = this.#repositories.id(repository);
    return id === undefined ? [] : this.#blobs.manifestsOf(id, digest);
  }

  removeBlob(repository: string, digest: Digest): Promise<Deletion> {
    return this.#inRepository(repository, (id) => this.#blobs.unlink(id, digest));
  }

  manifestByTag(repository: string, tag: string): ManifestRecord | undefined {
    const id = this.#repositories.id(repository);
    return id === undefined ? undefined : this.#manifests.byTag(id, tag);
  }

  manifestByDigest(repository: string, digest: Digest): ManifestRecord | undefined {
    const id = this.#repositories.id(repository);
    return id === undefined ? undefined : this.#manifests.byDigest(id, digest);
  }

  manifestContent(repository: string, digest: Digest): Uint8Array | undefined {
    const id = this.#repositories.id(repository);
    return id === undefined ? undefined : this.#manifests.content(id, digest);
  }

  putManifest(
    repository: string,
    manifest: NewManifest,
    tags: readonly string[],
    rules: WriteRules = {},
  ): Promise<void> {
    return this.#commits.write(() => {
      const id = this.#repositories.idOrCreate(repository);
      this.#usage.within(rules.limits, () => this.#manifests.put(id, manifest, tags, rules));
      this.#deliveries.add(rules.deliveries);
    });
  }

  removeManifest(repository: string, digest: Digest, rules: WriteRules = {}): Promise<Deletion> {
    return this.#inRepository(
      repository,
      (id) => this.#manifests.remove(id, digest, rules),
      rules.deliveries,
    );
  }

  removeTag(
    repository: string,
    tag: string,
    options: {
      readonly unchangedSince?: number | undefined;
      readonly deliveries?: readonly NewDelivery[];
    } = {},
  ): Promise<Deletion> {
    return this.#inRepository(
      repository,
      (id) => this.#manifests.removeTag(id, tag, options.unchangedSince),
      options.deliveries,
    );
  }

  tags(repository: string, page: Page): string[] {
    const id = this.#repositories.id(repository);
    return id === undefined ? [] : this.#manifests.tags(id, page);
  }

  tagRecords(repository: string, page: Page): TagRecord[] {
    const id = this.#repositories.id(repository);
    return id === undefined ? [] : this.#manifests.tagRecords(id, page);
  }

  recordPulls(pulls: readonly Pull[]): void {
    this.#state.transaction(
      () => {
        for (const { repository, reference, at } of pulls) {
          const id = this.#repositories.id(repository);
          if (id !== undefined) this.#manifests.pulled(id, reference, at);
        }
      },
      { durable: false },
    );
  }

  claimDeliveries(now: number, until: number, limit: number): Promise<ClaimedDelivery[]> {
    return this.#commits.write(() => this.#deliveries.claim(now, until, limit));
  }

  postponeDelivery(id: number, dueAt: number): Promise<void> {
    return this.#commits.write(() => this.#deliveries.postpone(id, dueAt));
  }

  dropDelivery(id: number): Promise<void> {
    return this.#commits.write(() => this.#deliveries.drop(id));
  }

  uncopied(limit: number): Uncopied[] {
    return this.#state
      .prepare(
        `SELECT u.id, u.version, u.kind, u.name, r.name AS repository FROM registry_uncopied u
         JOIN registry_repositories r ON r.id = u.repository_id ORDER BY u.id LIMIT ?`,
      )
      .all(limit)
      .map(uncopiedOfRow);
  }

  copied({ id, version }: Uncopied): void {
    this.#state.transaction(
      () => {
        this.#state.prepare('DELETE FROM registry_uncopied WHERE id = ? AND version = ?').run(id, version);
      },
      { durable: false },
    );
  }

  usedBytes(scope: QuotaLimit['scope'], name: string): number {
    return this.#usage.used(scope, name);
  }

  totalBytes(): number {
    return this.#usage.total();
  }

  usages(page: Page): RepositoryUsage[] {
    return this.#usage.list(page);
  }

  referrers(
    repository: string,
    subject: Digest,
    page: Page & { readonly artifactType?: string | undefined },
  ): Descriptor[] {
    const id = this.#repositories.id(repository);
    return id === undefined ? [] : this.#manifests.referrers(id, subject, page);
  }

  close(): void {
    this.#commits.flush();
    this.#state.close();
  }

  #inRepository(
    repository: string,
    work: (id: number) => Deletion,
    deliveries?: readonly NewDelivery[],
  ): Promise<Deletion> {
    return this.#commits.write(() => {
      const id = this.#repositories.id(repository);
      const deletion = id === undefined ? 'unknown' : work(id);
      if (deletion === 'deleted') this.#deliveries.add(deliveries);
      return deletion;
    });
  }
}
