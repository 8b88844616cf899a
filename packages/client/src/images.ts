import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { Cancellable } from './containers.ts';
import { jsonLines } from './streams.ts';
import { type Call, namePath, type Query, type Transport } from './transport.ts';
import type {
  AuthConfig,
  Filters,
  ImageDeleteItem,
  ImageHistoryItem,
  ImageInspect,
  ImageSummary,
  ProgressLine,
  PruneResult,
} from './types.ts';

/** `X-Registry-Auth`: base64url JSON. */
export function registryAuth(auth: AuthConfig | undefined): string {
  return Buffer.from(JSON.stringify(auth ?? {})).toString('base64url');
}

/** Parameters of `POST /build`, as the API names them. */
export interface BuildOptions {
  readonly t?: readonly string[];
  readonly dockerfile?: string | undefined;
  readonly buildargs?: Readonly<Record<string, string | null>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly target?: string | undefined;
  readonly nocache?: boolean;
  readonly pull?: boolean;
  readonly platform?: string | undefined;
  readonly networkmode?: string | undefined;
  readonly extrahosts?: readonly string[];
  readonly cachefrom?: readonly string[];
  readonly memory?: number | undefined;
  readonly shmsize?: number | undefined;
  readonly rm?: boolean;
  readonly q?: boolean;
}

/** `/images`, `/build`, `/distribution`. Names may hold slashes. */
export class Images {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(
    options: {
      readonly all?: boolean;
      readonly digests?: boolean;
      readonly filters?: Filters;
    } & Cancellable = {},
  ): Promise<ImageSummary[]> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'GET', path: '/images/json', query, signal });
  }

  inspect(name: string, options: Cancellable = {}): Promise<ImageInspect> {
    return this.#transport.json({ method: 'GET', path: `/images/${namePath(name)}/json`, ...options });
  }

  history(name: string, options: Cancellable = {}): Promise<ImageHistoryItem[]> {
    return this.#transport.json({ method: 'GET', path: `/images/${namePath(name)}/history`, ...options });
  }

  /** Progress of a pull; the iteration throws when it fails. */
  pull(
    reference: { readonly image: string; readonly tag: string },
    options: {
      readonly auth?: AuthConfig | undefined;
      readonly platform?: string | undefined;
    } & Cancellable = {},
  ): AsyncGenerator<ProgressLine, void, void> {
    return this.#progress({
      method: 'POST',
      path: '/images/create',
      query: { fromImage: reference.image, tag: reference.tag, platform: options.platform },
      headers: { 'x-registry-auth': registryAuth(options.auth) },
      signal: options.signal,
    });
  }

  push(
    name: string,
    options: { readonly tag?: string | undefined; readonly auth?: AuthConfig | undefined } & Cancellable = {},
  ): AsyncGenerator<ProgressLine, void, void> {
    return this.#progress({
      method: 'POST',
      path: `/images/${namePath(name)}/push`,
      query: { tag: options.tag },
      headers: { 'x-registry-auth': registryAuth(options.auth) },
      signal: options.signal,
    });
  }

  /** Makes an image of a tar of a root file system. */
  import(
    archive: Readable,
    options: {
      readonly repo?: string;
      readonly tag?: string;
      readonly message?: string | undefined;
      readonly changes?: readonly string[];
      readonly platform?: string | undefined;
    } & Cancellable = {},
  ): AsyncGenerator<ProgressLine, void, void> {
    const { signal, ...query } = options;
    return this.#progress({
      method: 'POST',
      path: '/images/create',
      query: { fromSrc: '-', ...query },
      headers: { 'content-type': 'text/plain' },
      body: archive,
      signal,
    });
  }

  async tag(
    name: string,
    target: { readonly repo: string; readonly tag: string },
    options: Cancellable = {},
  ): Promise<void> {
    const path = `/images/${namePath(name)}/tag`;
    await this.#transport.send({ method: 'POST', path, query: target, ...options });
  }

  remove(
    name: string,
    options: { readonly force?: boolean; readonly noprune?: boolean } & Cancellable = {},
  ): Promise<ImageDeleteItem[]> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'DELETE', path: `/images/${namePath(name)}`, query, signal });
  }

  prune(filters: Filters = {}, options: Cancellable = {}): Promise<PruneResult> {
    return this.#transport.json({ method: 'POST', path: '/images/prune', query: { filters }, ...options });
  }

  /** The archive of `docker save`. */
  save(names: readonly string[], options: Cancellable = {}): Promise<IncomingMessage> {
    return this.#transport.open({ method: 'GET', path: '/images/get', query: { names }, ...options });
  }

  load(
    archive: Readable,
    options: { readonly quiet?: boolean } & Cancellable = {},
  ): AsyncGenerator<ProgressLine, void, void> {
    return this.#progress({
      method: 'POST',
      path: '/images/load',
      query: { quiet: options.quiet ?? true },
      headers: { 'content-type': 'application/x-tar' },
      body: archive,
      signal: options.signal,
    });
  }

  /** Builds from a tar of the context. */
  build(
    context: Readable,
    options: BuildOptions & { readonly auths?: Readonly<Record<string, AuthConfig>> } & Cancellable = {},
  ): AsyncGenerator<ProgressLine, void, void> {
    const { signal, auths, extrahosts, cachefrom, buildargs, labels, ...rest } = options;
    const query: Query = {
      version: 1,
      ...rest,
      ...(buildargs === undefined ? {} : { buildargs }),
      ...(labels === undefined ? {} : { labels }),
      ...(extrahosts === undefined || extrahosts.length === 0 ? {} : { extrahosts: extrahosts.join(',') }),
      ...(cachefrom === undefined ? {} : { cachefrom: JSON.stringify(cachefrom) }),
    };
    return this.#progress({
      method: 'POST',
      path: '/build',
      query,
      headers: {
        'content-type': 'application/x-tar',
        'x-registry-config': Buffer.from(JSON.stringify(auths ?? {})).toString('base64url'),
      },
      body: context,
      signal,
    });
  }

  pruneBuildCache(
    options: { readonly all?: boolean; readonly filters?: Filters } & Cancellable = {},
  ): Promise<PruneResult> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'POST', path: '/build/prune', query, signal });
  }

  /** What a registry has under a name, without pulling it. */
  distribution(
    name: string,
    auth?: AuthConfig,
    options: Cancellable = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    return this.#transport.json({
      method: 'GET',
      path: `/distribution/${namePath(name)}/json`,
      headers: { 'x-registry-auth': registryAuth(auth) },
      ...options,
    });
  }

  /** Varve's own: the layers of an image with every name they go by, bottom first. */
  layers<T>(name: string): Promise<readonly T[]> {
    return this.#transport.json({ method: 'GET', path: `/varve/images/${name}/layers` });
  }

  /** Varve's own: where a path comes from and why; without a path, where the image's bytes go. */
  explain<T>(name: string, path?: string, options: Cancellable = {}): Promise<T> {
    return this.#transport.json({
      method: 'GET',
      path: `/varve/images/${name}/explain`,
      query: { path },
      ...options,
    });
  }

  async *#progress(call: Call): AsyncGenerator<ProgressLine, void, void> {
    const message = await this.#transport.open(call);
    yield* jsonLines<ProgressLine>(message, `${call.method} ${call.path}`);
  }
}
