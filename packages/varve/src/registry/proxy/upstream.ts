import { parseDuration } from '../../base/index.ts';
import { RegistryClient, type RemoteRepository } from '../../distribution/index.ts';

/** One registry that repositories come from. */
export interface UpstreamSettings {
  /** Path that its repositories are below here; empty when everything comes from it. */
  readonly prefix: string;
  readonly remoteurl: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tokenrealms: readonly string[];
  readonly checkinterval: string;
  readonly ttl: string;
}

/** A registry whose content is kept here. */
export class Upstream implements AsyncDisposable {
  readonly prefix: string;
  readonly host: string;
  /** How long a tag is not asked for again, milliseconds. */
  readonly checkIntervalMs: number;
  readonly ttl: string;
  readonly #client: RegistryClient;

  constructor(settings: UpstreamSettings) {
    const url = new URL(settings.remoteurl);
    const { username, password, tokenrealms } = settings;
    this.prefix = settings.prefix;
    this.host = url.host;
    this.checkIntervalMs = parseDuration(settings.checkinterval) / 1e6;
    this.ttl = settings.ttl;
    this.#client = new RegistryClient({
      credentials: (host) =>
        Promise.resolve(
          username !== undefined && host === this.host ? { username, password: password ?? '' } : undefined,
        ),
      // Credentials go to the configured host, and to the token servers that were named with it.
      realms: (registry, realm) => realm === registry || tokenrealms.includes(realm),
      ...(url.protocol === 'http:' ? { insecureRegistries: [url.host] } : {}),
    });
  }

  /** Its name of a repository of ours; undefined when that is not below the prefix. */
  nameOf(repository: string): string | undefined {
    if (this.prefix === '') return repository;
    return repository.startsWith(`${this.prefix}/`) ? repository.slice(this.prefix.length + 1) : undefined;
  }

  repository(name: string): RemoteRepository {
    return this.#client.repository({ domain: this.host, path: name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }
}
