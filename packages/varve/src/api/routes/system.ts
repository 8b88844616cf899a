import { versions } from 'node:process';
import { z } from 'zod';
import type { DiskUsage, Engine } from '../../engine/index.ts';
import { parseDocument } from '../create-body.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';
import { newestVersion, oldestVersion } from '../versions.ts';
import { containerSummary } from '../views/container-summary.ts';
import { imageSummary } from '../views/image-view.ts';
import { volumeView } from '../views/volume-view.ts';

function ping(exchange: Exchange): void {
  const { response, request } = exchange;
  const body = request.method === 'HEAD' ? '' : 'OK';
  response.writeHead(200, {
    'Builder-Version': '1',
    'Cache-Control': 'no-cache, no-store, must-revalidate',
    Pragma: 'no-cache',
    Swarm: 'inactive',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
  });
  response.end(body);
}

const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: '386',
};

async function version(exchange: Exchange): Promise<void> {
  const { core, system } = exchange.engine;
  const { kernel, runtime } = await system.info();
  const details = {
    ApiVersion: newestVersion,
    Arch: architectures[process.arch] ?? process.arch,
    BuildTime: '',
    Experimental: 'false',
    GitCommit: '',
    GoVersion: `node${versions.node}`,
    KernelVersion: kernel,
    MinAPIVersion: oldestVersion,
    Os: 'linux',
  };
  exchange.send(200, {
    Platform: { Name: 'Varve' },
    Components: [
      { Name: 'Engine', Version: core.config.version, Details: details },
      { Name: runtime.name, Version: runtime.version.replace(/^\S+ version /, ''), Details: {} },
    ],
    Version: core.config.version,
    ApiVersion: details.ApiVersion,
    MinAPIVersion: details.MinAPIVersion,
    GitCommit: '',
    GoVersion: details.GoVersion,
    Os: details.Os,
    Arch: details.Arch,
    KernelVersion: kernel,
    BuildTime: '',
  });
}

function registryConfig(engine: Engine): Record<string, unknown> {
  const { registryMirrors, insecureRegistries } = engine.core.config;
  const networks = insecureRegistries.filter((entry) => entry.includes('/'));
  const hosts = insecureRegistries.filter((entry) => !entry.includes('/'));
  return {
    AllowNondistributableArtifactsCIDRs: null,
    AllowNondistributableArtifactsHostnames: null,
    InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', ...networks],
    IndexConfigs: {
      'docker.io': { Mirrors: registryMirrors, Name: 'docker.io', Official: true, Secure: true },
      ...Object.fromEntries(
        hosts.map((host) => [host, { Mirrors: [], Name: host, Official: false, Secure: false }]),
      ),
    },
    Mirrors: registryMirrors.length > 0 ? registryMirrors : null,
  };
}

async function info(exchange: Exchange): Promise<void> {
  const { engine } = exchange;
  const about = await engine.system.info();
  const { config } = engine.core;
  const version2 = about.cgroupVersion === 2;
  exchange.send(200, {
    ID: about.id,
    Containers: about.containers.total,
    ContainersRunning: about.containers.running,
    ContainersPaused: about.containers.paused,
    ContainersStopped: about.containers.stopped,
    Images: about.images,
    Driver: about.driver.name,
    DriverStatus: about.driver.status,
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'null'],
      Authorization: null,
      Log: ['json-file'],
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    Debug: config.debug,
    NFd: 0,
    OomKillDisable: !version2,
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: 'json-file',
    CgroupDriver: 'cgroupfs',
    CgroupVersion: String(about.cgroupVersion),
    NEventsListener: about.eventListeners,
    KernelVersion: about.kernel,
    OperatingSystem: about.operatingSystem,
    OSVersion: '',
    OSType: 'linux',
    Architecture: about.architecture,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: registryConfig(engine),
    NCPU: about.cpus,
    MemTotal: about.memoryBytes,
    GenericResources: null,
    DockerRootDir: about.root,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: about.name,
    Labels: config.labels,
    ExperimentalBuild: false,
    ServerVersion: config.version,
    Runtimes: { [about.runtime.name]: { path: about.runtime.name } },
    DefaultRuntime: about.runtime.name,
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: config.liveRestore,
    Isolation: '',
    InitBinary: config.initPath === undefined ? '' : 'docker-init',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: about.runtime.version },
    InitCommit: { ID: '' },
    SecurityOptions: ['name=seccomp,profile=builtin'],
    FirewallBackend: { Driver: 'nftables' },
    CDISpecDirs: [],
    Warnings: null,
  });
}

/** Docker's answer, in bytes on disk; `DataRoot` is ours: every byte of the root, so that nothing is missing. */
async function diskUsage(exchange: Exchange): Promise<void> {
  const { engine, query, version } = exchange;
  const types = query.all('type').filter((type) => type !== '');
  const usage = await engine.system.diskUsage();
  const wants = (type: string): boolean => types.length === 0 || types.includes(type);
  exchange.send(200, {
    LayersSize: wants('image') ? usage.layersBytes : 0,
    Images: wants('image')
      ? usage.images.map(({ image, bytes, sharedBytes, containers }) =>
          imageSummary(image, version, { diskBytes: bytes, sharedBytes, containers }),
        )
      : null,
    Containers: wants('container')
      ? usage.containers.map(({ container, bytes }) =>
          containerSummary(engine, container, version, {
            writableBytes: bytes,
            rootBytes: bytes + (engine.core.images.get(container.record.imageId)?.size ?? 0),
          }),
        )
      : null,
    Volumes: wants('volume')
      ? usage.volumes.map(({ volume, bytes, users }) => volumeView(volume, { bytes, users }))
      : null,
    BuildCache: wants('build-cache') ? usage.cache.map(cacheView) : null,
    ...(types.length === 0
      ? {
          DataRoot: {
            Path: engine.core.root,
            TotalBytes: usage.totalBytes,
            Parts: usage.parts.map(({ part, items, bytes }) => ({ Part: part, Items: items, Bytes: bytes })),
          },
        }
      : {}),
  });
}

/** One piece of build cache, with the fields that clients read. */
function cacheView({ id, bytes, kind }: DiskUsage['cache'][number]): Record<string, unknown> {
  const never = new Date(0).toISOString();
  return {
    ID: id.replace(/^sha256:/, ''),
    Type: kind === 'layer' ? 'regular' : 'exec.cachemount',
    Description: kind === 'layer' ? 'layer of the build cache' : 'cache mounts and files of builds',
    InUse: false,
    Shared: false,
    Size: bytes,
    CreatedAt: never,
    LastUsedAt: null,
    UsageCount: 0,
  };
}

const authBody = z.object({
  username: z.string().default(''),
  password: z.string().default(''),
  serveraddress: z.string().default(''),
  identitytoken: z.string().default(''),
});

async function auth(exchange: Exchange): Promise<void> {
  const body = parseDocument(authBody, await exchange.json());
  const host = body.serveraddress.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  await exchange.engine.images.login(host, {
    username: body.username,
    password: body.password,
    ...(body.identitytoken === '' ? {} : { identityToken: body.identitytoken }),
  });
  exchange.send(200, { IdentityToken: '', Status: 'Login Succeeded' });
}

export const systemRoutes: readonly Route[] = [
  { method: 'GET', path: '/_ping', handle: ping },
  { method: 'HEAD', path: '/_ping', handle: ping },
  { method: 'GET', path: '/version', handle: version },
  { method: 'GET', path: '/info', handle: info },
  { method: 'GET', path: '/system/df', handle: diskUsage },
  { method: 'POST', path: '/auth', handle: auth },
];
