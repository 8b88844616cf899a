import { join, resolve } from 'node:path';
import { type Logger, pino } from 'pino';
import { KeyedLock, parseDuration, VarveError } from '../base/index.ts';
import { type AccessControl, type Auth, openAuth } from './auth/index.ts';
import { configSchema, parseAddress, type RegistryConfig, type RegistryConfigInput } from './config/index.ts';
import { type CollectOptions, type CollectReport, collectGarbage, RecentlyUsed } from './gc/index.ts';
import { HttpServer } from './http/server.ts';
import { readTls } from './http/tls.ts';
import { SqliteMetadata } from './metadata/index.ts';
import { lockRoot } from './storage/filesystem/index.ts';
import { openStorage } from './storage/index.ts';
import { Uploads } from './uploads/index.ts';

/** What a registry is given besides its configuration. */
export interface RegistryOptions {
  /** Where the log goes; silent when absent. */
  readonly logger?: Logger;
  /** Who may do what, in place of what the block `auth` says. */
  readonly access?: AccessControl;
}

/** A running registry. */
export interface Registry extends AsyncDisposable {
  /** Where it listens. */
  readonly address: { readonly host: string; readonly port: number };
  /** `http://host:port`, of the loopback address when it listens on all. */
  readonly url: string;
  /** Removes what nothing needs, while it serves. */
  collectGarbage(options?: CollectOptions): Promise<CollectReport>;
  /** Drops abandoned uploads; returns how many. Done at the start and at an interval, too. */
  purgeUploads(): Promise<number>;
  /**
   * Takes another configuration's `auth` and the files of its `http.tls`; the rest of it waits for the next start.
   * @throws as {@link startRegistry}, and goes on as it was
   */
  reload(input: RegistryConfigInput): Promise<void>;
  /** Stops: no new requests, the running ones end or are cut after `http.draintimeout`, the records are closed. */
  close(): Promise<void>;
}

/**
 * Starts a registry of the OCI distribution API 1.1. With no configuration it listens on 127.0.0.1:5000, is open, and
 * keeps everything under /var/lib/varve/registry.
 * @throws VarveError `invalid` (`CONFIG_INVALID`), `conflict` (`ROOT_IN_USE`), `unavailable` (`LISTEN_FAILED`)
 */
export async function startRegistry(
  input: RegistryConfigInput = {},
  options: RegistryOptions = {},
): Promise<Registry> {
  const config = validConfig(input);
  const logger = options.logger ?? pino({ level: 'silent' });
  const root = resolve(config.storage.filesystem.rootdirectory);
  await using resources = new AsyncDisposableStack();
  resources.use(lockRoot(root));
  const storage = await openStorage(config.storage, root);
  resources.defer(() => storage.close());
  const metadata = new SqliteMetadata(join(root, 'registry.db'));
  resources.defer(() => metadata.close());

  const open = (from: RegistryConfig): Auth =>
    openAuth(from.auth, { robots: metadata.robots, keyFolder: join(root, 'token-keys'), logger });
  let auth = open(config);
  resources.defer(() => auth[Symbol.asyncDispose]());

  const blobTurns = new KeyedLock();
  const recentlyUsed = new RecentlyUsed();
  const uploads = new Uploads(storage, metadata, blobTurns);
  const purging = config.storage.maintenance.uploadpurging;
  const purgeUploads = (signal?: AbortSignal): Promise<number> =>
    uploads.purge(Date.now() - milliseconds(purging.age), signal);
  const collect = (collectOptions?: CollectOptions): Promise<CollectReport> =>
    collectGarbage({ storage, metadata, recentlyUsed, blobTurns }, collectOptions);
  const server = new HttpServer(
    {
      services: {
        metadata,
        storage,
        uploads,
        recentlyUsed,
        redirect: config.storage.redirect,
        deleteEnabled: config.storage.delete.enabled,
        get auth() {
          return auth;
        },
      },
      get access() {
        return options.access ?? auth.access;
      },
      logger,
      accessLog: !config.log.accesslog.disabled,
      readOnly: config.storage.maintenance.readonly.enabled,
      crossOriginWrites: Object.keys(config.http.headers).some(
        (name) => name.toLowerCase() === 'access-control-allow-origin',
      ),
      commonHeaders: commonHeaders(config),
    },
    {
      maxRequests: config.http.maxrequests,
      maxConnections: config.http.maxconnections,
      idleTimeoutMs: milliseconds(config.http.idletimeout),
    },
    config.http.tls && readTls(config.http.tls),
  );
  const { host, port } = parseAddress(config.http.addr) ?? { host: '127.0.0.1', port: 5000 };
  const bound = await server.listen(host, port);
  resources.defer(() => server.drain(milliseconds(config.http.draintimeout)));
  const url = urlOf(config.http.tls ? 'https' : 'http', bound.address, bound.port);
  logger.info({ url, root, storage: storage.name }, 'registry listening');

  // In the background: a start does not wait for what a long life has left behind.
  if (purging.enabled) {
    const purge = repeatEvery(milliseconds(purging.interval), logger, async (signal) => {
      const purged = await purgeUploads(signal);
      if (purged > 0) logger.info({ purged }, 'dropped abandoned uploads');
    });
    purge.run();
    resources.use(purge);
  }
  const collecting = config.storage.maintenance.collect;
  if (collecting.enabled && !config.storage.maintenance.readonly.enabled) {
    const collection = repeatEvery(milliseconds(collecting.interval), logger, async (signal) => {
      const { untagged, grace } = collecting;
      const { blobs, ...rest } = await collect({ graceMs: milliseconds(grace), untagged, signal });
      logger.info({ ...rest, blobs: blobs.length }, 'collected garbage');
    });
    resources.use(collection);
  }

  const reload = async (nextInput: RegistryConfigInput): Promise<void> => {
    const next = validConfig(nextInput);
    if ((next.http.tls === undefined) !== (config.http.tls === undefined)) {
      throw new VarveError('invalid', 'CONFIG_INVALID', 'http.tls is turned on and off by a restart');
    }
    const tls = next.http.tls && readTls(next.http.tls);
    const before = auth;
    auth = open(next);
    if (tls) server.replaceCertificate(tls);
    await before[Symbol.asyncDispose]();
  };

  const owned = resources.move();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= owned.disposeAsync());
  return {
    address: { host: bound.address, port: bound.port },
    url,
    collectGarbage: collect,
    purgeUploads: () => purgeUploads(),
    reload,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function validConfig(input: RegistryConfigInput): RegistryConfig {
  const result = configSchema.safeParse(input);
  if (result.success) return result.data;
  const message = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n');
  throw new VarveError('invalid', 'CONFIG_INVALID', message);
}

function milliseconds(duration: string): number {
  return parseDuration(duration) / 1e6;
}

function commonHeaders(config: RegistryConfig): string[] {
  const headers = ['Docker-Distribution-Api-Version', 'registry/2.0', 'X-Content-Type-Options', 'nosniff'];
  for (const [name, values] of Object.entries(config.http.headers)) {
    if (name.toLowerCase() === 'x-content-type-options') continue;
    for (const value of values) headers.push(name, value);
  }
  return headers;
}

function urlOf(scheme: string, address: string, port: number): string {
  if (address === '::' || address === '0.0.0.0') return `${scheme}://127.0.0.1:${port}`;
  return address.includes(':') ? `${scheme}://[${address}]:${port}` : `${scheme}://${address}:${port}`;
}

// Less would be work all the time.
const minIntervalMs = 100;
// setInterval takes no more than 2^31 - 1 ms, and takes 1 ms instead.
const maxTimerMs = 2 ** 31 - 1;

/** Does `work` at an interval, one at a time, until disposed of: that stops the one that runs, and waits for it. */
function repeatEvery(
  intervalMs: number,
  logger: Logger,
  work: (signal: AbortSignal) => Promise<unknown>,
): AsyncDisposable & { run(): void } {
  const stop = new AbortController();
  let running: Promise<void> | undefined;
  const once = async (): Promise<void> => {
    try {
      await work(stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) logger.error({ err: error }, 'maintenance failed');
    } finally {
      running = undefined;
    }
  };
  const run = (): void => {
    running ??= once();
  };
  const timer = setInterval(run, Math.min(Math.max(intervalMs, minIntervalMs), maxTimerMs));
  timer.unref();
  return {
    run,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      stop.abort();
      await running;
    },
  };
}
