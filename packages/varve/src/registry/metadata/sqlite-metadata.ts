import type { Descriptor, Digest } from '../../oci/index.ts';
import { State } from '../../state/index.ts';
import { Blobs } from './blobs.ts';
import { SqliteGarbage } from './garbage.ts';
import { GroupCommit } from './group-commit.ts';
import { Manifests } from './manifests.ts';
import { Repositories } from './repositories.ts';
import { registrySchema } from './schema.ts';
import type { BlobRecord, Deletion, ManifestRecord, MetadataStore, NewManifest, Page } from './types.ts';

/** The records in one SQLite file: reads are indexed look-ups at once, writes share commits. */
export class SqliteMetadata implements MetadataStore {
  readonly garbage: SqliteGarbage;
  readonly #state: State;
  readonly #commits: GroupCommit;
  readonly #repositories: Repositories;
  readonly #blobs: Blobs;
  readonly #manifests: Manifests;

  /** @param database its path, created when missing (`:memory:` for tests), or the open state, which is then closed with this. */
  constructor(database: string | State) {
    this.#state = typeof database === 'string' ? new State(database) : database;
    this.#state.migrate(registrySchema);
    const repositories = new Repositories(this.#state);
    this.#repositories = repositories;
    this.#commits = new GroupCommit(this.#state, () => repositories.forget());
    this.#blobs = new Blobs(this.#state);
    this.#manifests = new Manifests(this.#state, this.#blobs);
    this.garbage = new SqliteGarbage(this.#state, this.#commits);
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

  addBlob(repository: string, blob: BlobRecord): Promise<void> {
    return this.#commits.write(() => this.#blobs.add(this.#repositories.idOrCreate(repository), blob));
  }

  linkBlob(repository: string, digest: Digest): Promise<boolean> {
    return this.#commits.write(() => {
      if (!this.#blobs.isStored(digest)) return false;
      this.#blobs.link(this.#repositories.idOrCreate(repository), digest);
      return true;
    });
  }

  repositoriesOfBlob(digest: Digest, limit: number): string[] {
    return this.#blobs.repositoriesOf(digest, limit);
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

  putManifest(repository: string, manifest: NewManifest, tags: readonly string[]): Promise<void> {
    return this.#commits.write(() =>
      this.#manifests.put(this.#repositories.idOrCreate(repository), manifest, tags),
    );
  }

  removeManifest(repository: string, digest: Digest): Promise<Deletion> {
    return this.#inRepository(repository, (id) => this.#manifests.remove(id, digest));
  }

  removeTag(repository: string, tag: string): Promise<Deletion> {
    return this.#inRepository(repository, (id) => this.#manifests.removeTag(id, tag));
  }

  tags(repository: string, page: Page): string[] {
    const id = this.#repositories.id(repository);
    return id === undefined ? [] : this.#manifests.tags(id, page);
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

  #inRepository(repository: string, work: (id: number) => Deletion): Promise<Deletion> {
    return this.#commits.write(() => {
      const id = this.#repositories.id(repository);
      return id === undefined ? 'unknown' : work(id);
    });
  }
}
