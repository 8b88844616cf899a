import { type Cancellable, Containers } from './containers.ts';
import { EngineError } from './errors.ts';
import { Images } from './images.ts';
import { Networks } from './networks.ts';
import { jsonLines } from './streams.ts';
import { read, Transport } from './transport.ts';
import type { AuthConfig, CheckProgress, DiskUsage, Event, Filters, Info, Version } from './types.ts';
import { Volumes } from './volumes.ts';

/** The newest API version this client speaks. */
export const clientVersion = '1.51';

/** Where an engine listens when nothing else is said. */
export const defaultHost = 'unix:///run/varve/varve.sock';

/** Nanoseconds since 1970 have more digits than a number keeps. */
function parseEvent(line: string): unknown {
  const revive = (key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    key === 'timeNano' && typeof value === 'number' && context?.source !== undefined
      ? BigInt(context.source)
      : value;
  return JSON.parse(line, revive);
}

export interface EngineOptions {
  /** `unix:///run/varve/varve.sock` (the default), `tcp://127.0.0.1:2375`, `http://…`. */
  readonly host?: string;
  /** Fixed API version; negotiated with the engine when absent. */
  readonly version?: string;
  /** Ends every call of this client. */
  readonly signal?: AbortSignal;
}

/**
 * A Docker-compatible engine over its HTTP API.
 * @example
 * const engine = new Engine({ host: 'unix:///run/varve/varve.sock' });
 * for await (const line of engine.images.pull({ image: 'busybox', tag: 'latest' })) console.log(line.status);
 */
export class Engine implements Disposable {
  readonly containers: Containers;
  readonly images: Images;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly #transport: Transport;
  #version: Promise<string> | undefined;

  /** @throws EngineError for a host it cannot read. Nothing is sent yet. */
  constructor(options: EngineOptions = {}) {
    if (options.version !== undefined) this.#version = Promise.resolve(`/v${options.version}`);
    this.#transport = new Transport(
      options.host ?? defaultHost,
      () => (this.#version ??= this.#negotiate()),
      options.signal,
    );
    this.containers = new Containers(this.#transport);
    this.images = new Images(this.#transport);
    this.networks = new Networks(this.#transport);
    this.volumes = new Volumes(this.#transport);
  }

  /** Asks whether the engine is there. @throws EngineError with status 0 when it is not. */
  async ping(options: Cancellable = {}): Promise<{ readonly apiVersion: string; readonly osType: string }> {
    const message = await this.#transport.open(
      { method: 'GET', path: '/_ping', ...options },
      { versioned: false },
    );
    await read(message);
    return {
      apiVersion: String(message.headers['api-version'] ?? '1.24'),
      osType: String(message.headers['ostype'] ?? ''),
    };
  }

  version(options: Cancellable = {}): Promise<Version> {
    return this.#transport.json({ method: 'GET', path: '/version', ...options });
  }

  info(options: Cancellable = {}): Promise<Info> {
    return this.#transport.json({ method: 'GET', path: '/info', ...options });
  }

  diskUsage(options: Cancellable = {}): Promise<DiskUsage> {
    return this.#transport.json({ method: 'GET', path: '/system/df', ...options });
  }

  /**
   * Varve's own: compares the engine's records with its files.
   * @param options.onProgress is told how far it is.
   */
  async check<T>(
    options: {
      readonly repair?: boolean;
      readonly onProgress?: (progress: CheckProgress) => void;
    } & Cancellable = {},
  ): Promise<T> {
    const { repair, onProgress, ...call } = options;
    const path = '/varve/system/check';
    if (!onProgress) return this.#transport.json({ method: 'POST', path, query: { repair }, ...call });
    const message = await this.#transport.open({
      method: 'POST',
      path,
      query: { repair, progress: true },
      ...call,
    });
    for await (const line of jsonLines<{ progress?: CheckProgress; report?: T; error?: string }>(
      message,
      path,
    )) {
      if (line.progress) onProgress(line.progress);
      if (line.error !== undefined) throw new EngineError(0, line.error, path);
      if (line.report !== undefined) return line.report;
    }
    throw new EngineError(0, 'the engine ended the check without a report', path);
  }

  /** Checks credentials with a registry. */
  auth(
    config: AuthConfig,
    options: Cancellable = {},
  ): Promise<{ readonly Status: string; readonly IdentityToken?: string }> {
    return this.#transport.json({ method: 'POST', path: '/auth', json: config, ...options });
  }

  /** Events as they happen; with `until` in the past the iteration ends. */
  async *events(
    options: {
      readonly since?: string | undefined;
      readonly until?: string | undefined;
      readonly filters?: Filters;
    } & Cancellable = {},
  ): AsyncGenerator<Event, void, void> {
    const { signal, ...query } = options;
    yield* jsonLines<Event>(
      await this.#transport.open({ method: 'GET', path: '/events', query, signal }),
      'GET /events',
      parseEvent,
    );
  }

  close(): void {
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The lower of both sides' newest versions. An engine that did not answer is asked again by the next call. */
  async #negotiate(): Promise<string> {
    try {
      const { apiVersion } = await this.ping();
      const minor = (version: string): number => Number(version.split('.')[1]);
      return `/v${minor(apiVersion) < minor(clientVersion) ? apiVersion : clientVersion}`;
    } catch (error) {
      this.#version = undefined;
      throw error;
    }
  }
}
