import { join, resolve } from 'node:path';
import { type Logger, pino } from 'pino';
import { parseDuration, VarveError } from '../base/index.ts';
import { readTrustPolicies } from '../distribution/index.ts';
import { digestOf } from '../oci/index.ts';
import { type AccessControl, type Auth, openAuth } from './auth/index.ts';
import { configSchema, parseAddress, type RegistryConfig, type RegistryConfigInput } from './config/index.ts';
import { startControl } from './control/index.ts';
import { type CollectOptions, type CollectReport, RecentlyUsed } from './gc/index.ts';
import { RateLimit } from './http/rate-limit.ts';
import { TrustedProxies } from './http/client-address.ts';
import { HttpServer } from './http/server.ts';
import { readTls } from './http/tls.ts';
import { Maintenance } from './maintenance/index.ts';
import { type MetadataStore, SqliteMetadata } from './metadata/index.ts';
import { Notifier } from './notifications/index.ts';
import { openMetrics, openTracing, startDebugServer } from './operations/index.ts';
import { Pages, SessionCookies, sessionKey } from './pages/index.ts';
import { PullThrough, type UpstreamSettings } from './proxy/index.ts';
import { Quota } from './quota/index.ts';
import { immutableTags, Pulls } from './retention/index.ts';
import { lockRoot } from './storage/filesystem/index.ts';
import { openStorage } from './storage/index.ts';
import { Trust } from './trust/index.ts';
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
  /** Port of `http.debug`; undefined where that is off. */
  readonly debugPort: number | undefined;
  /** What keeps it in order, by hand. */
  readonly maintenance: Maintenance;
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
  const { otlp } = config.tracing;
  const tracing = otlp && (await openTracing({ ...config.tracing, otlp }));
  if (tracing) resources.use(tracing);
  const bytes = await openStorage(config.storage, root);
  resources.defer(() => bytes.close());
  const storage = tracing?.parts(bytes, 'storage', new Set(['create', 'resume'])) ?? bytes;
  const { postgres } = config.metadata;
  const records: MetadataStore = postgres
    ? await openPostgres(postgres)
    : new SqliteMetadata(join(root, 'registry.db'));
  resources.defer(async () => records.close());
  const metadata = tracing?.parts(records, 'db') ?? records;

  const open = (from: RegistryConfig): Auth =>
    openAuth(from.auth, { robots: metadata.robots, keyFolder: join(root, 'token-keys'), logger });
  let auth = open(config);
  resources.defer(() => auth[Symbol.asyncDispose]());

  const recentlyUsed = new RecentlyUsed();
  const pulls = new Pulls(metadata);
  const quota = new Quota(config.quotas, metadata);
  const uploads = new Uploads(storage, metadata, quota, { cluster: postgres !== undefined });
  const { debug } = config.http;
  const metrics = debug?.prometheus.enabled ? await openMetrics(metadata) : undefined;
  const notifier = new Notifier(config.notifications.endpoints, metadata, logger, (outcome) =>
    metrics?.notified(outcome),
  );
  const proxy = new PullThrough(upstreamsOf(config), { metadata, storage, uploads, quota, logger });
  resources.use(proxy);
  const trust = new Trust(readTrustPolicies(config.trust), { metadata, storage });
  const maintenance = new Maintenance({
    config,
    storage,
    metadata,
    uploads,
    recentlyUsed,
    pulls,
    quota,
    notifier,
    metrics,
    logger,
  });
  const server = new HttpServer(
    {
      services: {
        metadata,
        storage,
        uploads,
        recentlyUsed,
        usedWithinMs: Math.min(maxUseAgeMs, milliseconds(config.storage.maintenance.collect.grace) / 10),
        pulls,
        quota,
        maintenance,
        notifier,
        proxy,
        trust,
        immutableTags: (repository) => immutableTags(config.tags.immutable, repository),
        redirect: config.storage.redirect,
        deleteEnabled: config.storage.delete.enabled,
        schema1Enabled: config.compatibility.schema1.enabled,
        readOnly: config.storage.maintenance.readonly.enabled,
        pages: config.ui.enabled ? openPages(config, root, metadata) : undefined,
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
      proxies: new TrustedProxies(config.http.trustedproxies),
      rateLimit: new RateLimit(config.http.ratelimit),
      metrics,
      tracing,
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
  let serving = true;
  const debugServer =
    debug &&
    (await startDebugServer(debug.addr, {
      metrics,
      metricsPath: debug.prometheus.path,
      ready: () => serving,
      check: async () => {
        await metadata.repositories({ limit: 1 });
        await storage.stat(digestOf(''));
      },
    }));
  if (debugServer) resources.use(debugServer);
  resources.defer(() => {
    serving = false;
    return server.drain(milliseconds(config.http.draintimeout));
  });
  const url = urlOf(config.http.tls ? 'https' : 'http', bound.address, bound.port);
  logger.info({ url, root, storage: storage.name }, 'registry listening');

  resources.use(maintenance.start());
  resources.use(await startControl(join(root, 'control.sock'), maintenance, logger));

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
    debugPort: debugServer?.port,
    maintenance,
    collectGarbage: (collectOptions) => maintenance.collect(collectOptions),
    purgeUploads: () => maintenance.purgeUploads(),
    reload,
    close,
    [Symbol.asyncDispose]: close,
  };
}

// One write a minute for a blob that clients ask for all the time.
const maxUseAgeMs = 60_000;

function validConfig(input: RegistryConfigInput): RegistryConfig {
  const result = configSchema.safeParse(input);
  if (result.success) return result.data;
  const message = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n');
  throw new VarveError('invalid', 'CONFIG_INVALID', message);
}

/** Its client is loaded only where it is configured. */
async function openPostgres(options: {
  readonly url: string;
  readonly connections: number;
}): Promise<MetadataStore> {
  const { PostgresMetadata } = await import('./metadata/postgres/postgres-metadata.ts');
  return await PostgresMetadata.open(options.url, options);
}

function openPages({ ui }: RegistryConfig, root: string, { logouts }: MetadataStore): Pages {
  const key = sessionKey(ui.secret, join(root, 'session-key'));
  return new Pages(new SessionCookies(key, milliseconds(ui.session)), logouts);
}

/** Both forms of the block `proxy`. */
function upstreamsOf({ proxy }: RegistryConfig): UpstreamSettings[] {
  const { remoteurl, upstreams, username, password, ttl } = proxy;
  if (remoteurl === undefined) return upstreams;
  return [{ prefix: '', remoteurl, username, password, ttl, tokenrealms: [], checkinterval: '5m' }];
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
