import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Builder } from '../builder/index.ts';
import { openContentStore } from '../content/index.ts';
import {
  certificateFolder,
  type ProxySettings,
  readTrustPolicies,
  RegistryClient,
} from '../distribution/index.ts';
import { Engine, type Logger, removeOtherTree, snapshotFolders } from '../engine/index.ts';
import { LocalImageStore } from '../image/index.ts';
import { NetworkManager } from '../network/index.ts';
import { ConmonRuntime } from '../runtime/index.ts';
import { keepBackup, openState } from '../state/index.ts';
import { chooseDriver, parseStorageOptions } from '../storage/index.ts';
import { VolumeStore } from '../volume/index.ts';
import type { EngineSettings } from './engine-settings.ts';
import { storageDriverKinds } from './storage-drivers.ts';

/** An engine with everything under it. */
export interface ComposedEngine extends AsyncDisposable {
  readonly engine: Engine;
  /** Stops the engine, then closes what it was made of. */
  close(): Promise<void>;
}

/** Debian's tini, which the runtime uses when nothing else is set. */
const defaultInit = '/usr/bin/tini-static';
/** Docker's own default (dockerd --shutdown-timeout), seconds. */
const defaultShutdownTimeout = 15;

/** The proxy that dockerd would use: upper-case names go before lower-case ones. */
function proxyOf(environment: Readonly<Record<string, string | undefined>>): ProxySettings {
  const read = (name: string): string | undefined => environment[name] ?? environment[name.toLowerCase()];
  const http = read('HTTP_PROXY');
  const https = read('HTTPS_PROXY');
  const none = read('NO_PROXY');
  return {
    ...(http ? { http } : {}),
    ...(https ? { https } : {}),
    ...(none ? { none } : {}),
  };
}

/**
 * Builds the engine of a data root: chooses driver and runtime, opens the stores, adopts what runs.
 * @throws VarveError `conflict` when another engine has the root, `unavailable` when this machine cannot run it.
 */
export async function composeEngine(
  settings: EngineSettings,
  options: { readonly version: string; readonly log: Logger },
): Promise<ComposedEngine> {
  const root = settings['data-root'] ?? '/var/lib/varve';
  const execRoot = settings['exec-root'] ?? '/run/varve';
  const lock = Engine.lockRoot(root);
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.reverse()) await close();
  };
  try {
    const records = join(root, 'state.db');
    const { state, lost } = openState(records, join(root, 'quarantine'));
    closers.push(() => state.close());
    if (lost) options.log('error', 'the records were lost', { ...lost });
    const content = openContentStore({ root, state, grace: 0 });
    const snapshots = snapshotFolders(root).current;
    // Of a migration: broken off, or what it left to delete.
    const removal = removeOtherTree(root, storageDriverKinds).catch((error: unknown) =>
      options.log('warn', 'could not remove the tree of a migration', { error: String(error) }),
    );
    closers.push(() => removal);
    const driver = await chooseDriver(storageDriverKinds(snapshots), snapshots, {
      requested: settings['storage-driver'],
      options: parseStorageOptions(settings['storage-opts'] ?? []),
    });
    closers.push(() => driver.close());
    const registries = new RegistryClient({
      userAgent: `varve/${options.version}`,
      insecureRegistries: settings['insecure-registries'] ?? [],
      mirrors: settings['registry-mirrors'] ?? [],
      tls: certificateFolder('/etc/docker/certs.d'),
      proxy: proxyOf(process.env),
    });
    closers.push(() => registries.close());
    const images = new LocalImageStore({
      state,
      content,
      driver,
      client: registries,
      trust: readTrustPolicies(settings.trust ?? {}),
    });
    const runtime = new ConmonRuntime({
      stateRoot: join(execRoot, 'runtime'),
      logRoot: join(root, 'containers'),
      ...(settings['default-runtime'] === undefined ? {} : { runtime: settings['default-runtime'] }),
      ...(settings['init-path'] === undefined ? {} : { tini: settings['init-path'] }),
    });
    await runtime.recover();
    const networks = new NetworkManager({
      state,
      runRoot: execRoot,
      options: {
        ...(settings.bridge === undefined ? {} : { bridge: settings.bridge }),
        ...(settings.bip === undefined ? {} : { bridgeSubnet: settings.bip }),
        ...(settings['default-address-pools'] === undefined
          ? {}
          : { pools: settings['default-address-pools'] }),
      },
    });
    const volumes = new VolumeStore({ state, root: join(root, 'volumes') });
    const engine = await Engine.open(
      {
        root,
        execRoot,
        state,
        content,
        images,
        driver,
        runtime,
        networks,
        volumes,
        registries,
        builder: (runner) => {
          const builder = new Builder({
            state,
            content,
            images,
            driver,
            runner,
            root: join(root, 'builder'),
          });
          images.addLayerRoots(() => builder.layerRoots());
          return builder;
        },
        recordsLost: lost !== undefined,
        config: {
          version: options.version,
          hostName: hostname(),
          labels: settings.labels ?? [],
          liveRestore: settings['live-restore'] ?? false,
          shutdownTimeout: settings['shutdown-timeout'] ?? defaultShutdownTimeout,
          registryMirrors: settings['registry-mirrors'] ?? [],
          insecureRegistries: settings['insecure-registries'] ?? [],
          dns: settings.dns ?? [],
          dnsSearch: settings['dns-search'] ?? [],
          dnsOptions: settings['dns-opts'] ?? [],
          debug: settings.debug ?? false,
          initPath: settings['init-path'] ?? (existsSync(defaultInit) ? defaultInit : undefined),
        },
        log: options.log,
      },
      lock,
    );
    if (lost) {
      const made = await images.rebuild();
      options.log('warn', 'recorded images anew from their blobs', { images: made.length });
    }
    const copies = keepBackup(state, records, (error) =>
      options.log('warn', 'no copy of the records was made', { error: String(error) }),
    );
    closers.push(async () => await copies[Symbol.asyncDispose]());
    closers.push(() => engine.close());
    return { engine, close: closeAll, [Symbol.asyncDispose]: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
