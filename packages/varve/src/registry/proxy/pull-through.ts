import type { Logger } from 'pino';
import { isKind, VarveError } from '../../base/index.ts';
import type { RemoteRepository } from '../../distribution/index.ts';
import type { Descriptor, Digest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import { readManifest } from '../manifests/document.ts';
import type { BlobRecord, MetadataStore } from '../metadata/index.ts';
import type { ManifestReference } from '../names.ts';
import type { Quota } from '../quota/index.ts';
import type { RegistryStorage } from '../storage/index.ts';
import type { Uploads } from '../uploads/index.ts';
import type { ArrivingBlob } from './arriving-blob.ts';
import { BlobArrivals } from './blob-arrivals.ts';
import { isServed } from './download.ts';
import { RecentLists } from './recent-lists.ts';
import { SingleFlight } from './single-flight.ts';
import { Upstream, type UpstreamSettings } from './upstream.ts';

interface Parts {
  readonly metadata: MetadataStore;
  readonly storage: RegistryStorage;
  readonly uploads: Uploads;
  readonly quota: Quota;
  readonly logger: Logger;
}

/** A repository of ours with where it comes from. */
interface Proxied {
  readonly upstream: Upstream;
  readonly remote: RemoteRepository;
}

const maxRemembered = 50_000;
/** Tags, or referrers, of all lists that are remembered. */
const maxListed = 500_000;
/** A list is no older than this, however seldom tags are asked for. */
const listAgeMs = 60_000;

/**
 * Repositories that come from other registries: fetched when somebody asks, kept as if they had been pushed (quota,
 * collection and all), and served from here when the other registry is away. One fetch serves all who wait for it.
 */
export class PullThrough implements AsyncDisposable {
  readonly #upstreams: readonly Upstream[];
  readonly #parts: Parts;
  readonly #flights = new SingleFlight();
  /** When a tag was last asked for, in milliseconds since 1970. */
  readonly #checked = new Map<string, number>();
  readonly #tags = new RecentLists<string>(maxListed);
  readonly #referrers = new RecentLists<Descriptor>(maxListed);
  readonly #arrivals: BlobArrivals;

  constructor(upstreams: readonly UpstreamSettings[], parts: Parts) {
    // The longest prefix decides.
    this.#upstreams = upstreams
      .map((settings) => new Upstream(settings))
      .toSorted((a, b) => b.prefix.length - a.prefix.length);
    this.#parts = parts;
    this.#arrivals = new BlobArrivals(parts.uploads, parts.storage);
  }

  /** Where a repository comes from, as text for messages; undefined for one of our own. */
  origin(repository: string): string | undefined {
    const found = this.#find(repository);
    return found && `${found.remote.host}/${found.remote.path}`;
  }

  /**
   * Has a manifest here, as new as `checkinterval` asks for; does nothing for a repository of our own.
   * @throws RegistryError `MANIFEST_UNKNOWN` when the other registry has none, `UNAVAILABLE` when it is away and nothing is here
   */
  async ensureManifest(repository: string, target: ManifestReference): Promise<void> {
    const proxied = this.#find(repository);
    if (!proxied) return;
    const { metadata, logger } = this.#parts;
    const name = 'tag' in target ? target.tag : target.digest;
    const known =
      'tag' in target
        ? await metadata.manifestByTag(repository, target.tag)
        : await metadata.manifestByDigest(repository, target.digest);
    if (known && (!('tag' in target) || this.#isFresh(repository, target.tag, proxied.upstream))) return;
    try {
      await this.#flights.run(`manifest ${repository} ${name}`, () =>
        this.#fetchManifest(proxied, repository, target, known?.digest),
      );
    } catch (error) {
      if (isKind(error, 'not-found')) {
        // It is gone there, so it is gone here.
        if ('tag' in target) await metadata.removeTag(repository, target.tag);
        throw new RegistryError('MANIFEST_UNKNOWN', { detail: { name: repository, reference: name } });
      }
      if (error instanceof RegistryError) throw error;
      logger.warn(
        { err: error, repository, reference: name, served: known !== undefined },
        'upstream failed',
      );
      if (!known) throw awayError(proxied, error);
    }
  }

  /**
   * A blob of a repository that comes from elsewhere, as far as a manifest here names it, without fetching it.
   * undefined for a repository of our own.
   */
  async describeBlob(repository: string, digest: Digest): Promise<BlobRecord | undefined> {
    const proxied = this.#find(repository);
    const found = proxied && (await this.#descriptor(repository, digest));
    return found && { digest, size: found.size };
  }

  /**
   * Fetches a blob that a manifest here names; a larger one can be read while it is fetched. undefined for a repository of our
   * own, or when no manifest names it: this is no way to read what else the other registry has.
   * @throws RegistryError `UNAVAILABLE`, `DENIED` over a quota
   */
  async ensureBlob(repository: string, digest: Digest): Promise<BlobRecord | ArrivingBlob | undefined> {
    const proxied = this.#find(repository);
    const descriptor = proxied && (await this.#descriptor(repository, digest));
    if (!proxied || !descriptor) return undefined;
    return await this.#flights.run(`blob ${repository} ${digest}`, async () => {
      for (;;) {
        const found =
          (await this.#arrivals.find(repository, digest)) ??
          (await this.#parts.metadata.blob(repository, digest)) ??
          (await this.#linkFromElsewhere(proxied, repository, descriptor)) ??
          (await this.#arrivals.begin(repository, proxied.remote, descriptor, (cause) =>
            this.#explain(proxied, repository, digest, cause),
          ));
        if (found) return found;
      }
    });
  }

  /**
   * Another repository's copy will do, once the other registry has shown that this one has it, too: a manifest may name what
   * its author cannot read.
   */
  async #linkFromElsewhere(
    proxied: Proxied,
    repository: string,
    { digest, ...blob }: Descriptor,
  ): Promise<BlobRecord | undefined> {
    const { metadata, quota } = this.#parts;
    if ((await metadata.repositoriesOfBlob(digest, 1)).length === 0) return undefined;
    try {
      await isServed(proxied.remote, { digest, ...blob });
      const linked = await metadata.linkBlob(repository, digest, { limits: quota.limitsOf(repository) });
      return linked ? { digest, size: blob.size } : undefined;
    } catch (error) {
      throw this.#explain(proxied, repository, digest, error);
    }
  }

  /** Why a blob is not to be had, as the client is told. */
  #explain(proxied: Proxied, repository: string, digest: Digest, error: unknown): RegistryError {
    if (error instanceof RegistryError && error.code !== 'DIGEST_INVALID') return error;
    if (isKind(error, 'not-found')) return new RegistryError('BLOB_UNKNOWN', { detail: { digest } });
    this.#parts.logger.warn({ err: error, repository, digest }, 'upstream failed');
    return awayError(proxied, error);
  }

  /** The other registry's tags; undefined for a repository of our own, and when it is away. */
  async tags(repository: string): Promise<readonly string[] | undefined> {
    return await this.#listed(repository, 'tags', this.#tags, async ({ remote }) =>
      (await Array.fromAsync(remote.listTags())).toSorted(byBytes),
    );
  }

  /**
   * What the other registry says refers to a manifest, by digest, as new as its tags are; undefined for a repository of our
   * own, and when it is away and was never asked.
   */
  async referrers(repository: string, subject: Digest): Promise<readonly Descriptor[] | undefined> {
    return await this.#listed(repository, `referrers ${subject}`, this.#referrers, async ({ remote }) =>
      (await remote.listReferrers(subject)).toSorted((a, b) => byBytes(a.digest, b.digest)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#arrivals[Symbol.asyncDispose]();
    await Promise.all(this.#upstreams.map((upstream) => upstream[Symbol.asyncDispose]()));
  }

  #find(repository: string): Proxied | undefined {
    for (const upstream of this.#upstreams) {
      const name = upstream.nameOf(repository);
      if (name !== undefined) return { upstream, remote: upstream.repository(name) };
    }
    return undefined;
  }

  /** A list of the other registry, asked for again when it is old; when that fails, the last one. */
  async #listed<T>(
    repository: string,
    what: string,
    kept: RecentLists<T>,
    ask: (proxied: Proxied) => Promise<readonly T[]>,
  ): Promise<readonly T[] | undefined> {
    const proxied = this.#find(repository);
    if (!proxied) return undefined;
    const key = `${repository} ${what}`;
    const last = kept.get(key);
    const maxAgeMs = Math.min(listAgeMs, proxied.upstream.checkIntervalMs);
    if (last && Date.now() - last.at < maxAgeMs) return last.items;
    try {
      const items = await this.#flights.run(key, () => ask(proxied));
      kept.set(key, items);
      return items;
    } catch (error) {
      this.#parts.logger.warn({ err: error, repository }, 'upstream failed');
      return last?.items;
    }
  }

  #isFresh(repository: string, tag: string, { checkIntervalMs }: Upstream): boolean {
    const at = this.#checked.get(`${repository} ${tag}`);
    return at !== undefined && Date.now() - at < checkIntervalMs;
  }

  async #fetchManifest(
    { remote }: Proxied,
    repository: string,
    target: ManifestReference,
    known: Digest | undefined,
  ): Promise<void> {
    const { metadata, quota } = this.#parts;
    const name = 'tag' in target ? target.tag : target.digest;
    if ('tag' in target) {
      const head = await remote.headManifest(target.tag);
      if (!head) throw new VarveError('not-found', 'MANIFEST_UNKNOWN', `${remote.host} has no tag ${name}`);
      this.#remember(repository, target.tag);
      if (head.digest === known) return;
    }
    const { descriptor, bytes } = await remote.getManifest(name);
    const { blobs, optionalBlobs, ...manifest } = readManifest(
      bytes,
      descriptor.mediaType,
      descriptor.digest,
    );
    // Its blobs come when somebody asks for them.
    const later = [...new Set([...blobs.map(({ digest }) => digest), ...optionalBlobs])];
    await metadata.putManifest(
      repository,
      { ...manifest, blobs: [], optionalBlobs: later },
      'tag' in target ? [target.tag] : [],
      { limits: quota.limitsOf(repository) },
    );
  }

  #remember(repository: string, tag: string): void {
    if (this.#checked.size >= maxRemembered) this.#checked.clear();
    this.#checked.set(`${repository} ${tag}`, Date.now());
  }

  /** What a manifest of the repository says of a blob. */
  async #descriptor(repository: string, digest: Digest): Promise<Descriptor | undefined> {
    const { metadata } = this.#parts;
    for (const manifest of await metadata.manifestsOfBlob(repository, digest)) {
      const bytes = await metadata.manifestContent(repository, manifest);
      const document = bytes && (JSON.parse(Buffer.from(bytes).toString()) as ImageDocument);
      const found = [document?.config, ...(document?.layers ?? [])].find((item) => item?.digest === digest);
      if (found) return found;
    }
    return undefined;
  }
}

interface ImageDocument {
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
}

function awayError({ remote }: Proxied, cause: unknown): RegistryError {
  const { kind, message } = VarveError.from(cause);
  if (kind === 'unauthorized' || kind === 'forbidden') {
    // Many registries say so of what they do not have; whom the credentials are of is not the client's to know.
    return new RegistryError('NAME_UNKNOWN', {
      message: `${remote.host} does not let us read ${remote.path}`,
      cause,
    });
  }
  return new RegistryError('UNAVAILABLE', { message: `${remote.host} cannot be reached: ${message}`, cause });
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
