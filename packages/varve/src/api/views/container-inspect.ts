import { shortId } from '../../base/index.ts';
import {
  type Container,
  commandLine,
  type EndpointSettings,
  type Engine,
  type MountPoint,
} from '../../engine/index.ts';
import { type ApiVersion, since } from '../versions.ts';

function stateView({ state, record }: Container): Record<string, unknown> {
  const restarting = state.status === 'restarting';
  return {
    Status: state.status,
    Running: ['running', 'paused', 'restarting'].includes(state.status),
    Paused: state.status === 'paused',
    Restarting: restarting,
    OOMKilled: state.oomKilled,
    Dead: state.status === 'dead',
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(state.health && record.config.Healthcheck ? { Health: state.health } : {}),
  };
}

/** A network of a container; before 1.44 its short id is among the aliases and there are no DNS names. */
export function endpointView(
  settings: EndpointSettings,
  containerId: string,
  version: ApiVersion,
): Record<string, unknown> {
  const { DNSNames, Aliases, ...rest } = settings;
  const common = { ...rest, GlobalIPv6Address: '', GlobalIPv6PrefixLen: 0, IPv6Gateway: '', GwPriority: 0 };
  return version >= since.dnsNames
    ? { ...common, Aliases, DNSNames }
    : { ...common, Aliases: DNSNames === null ? Aliases : [...(Aliases ?? []), shortId(containerId)] };
}

export function mountView(mount: MountPoint): Record<string, unknown> {
  return {
    Type: mount.Type,
    ...(mount.Name === undefined ? {} : { Name: mount.Name }),
    Source: mount.Source,
    Destination: mount.Destination,
    ...(mount.Driver === undefined ? {} : { Driver: mount.Driver }),
    Mode: mount.Mode,
    RW: mount.RW,
    Propagation: mount.Propagation,
  };
}

/** The mounts inspect shows: a tmpfs of `--tmpfs` is in HostConfig alone. */
export function shownMounts(mounts: readonly MountPoint[]): MountPoint[] {
  return mounts.filter((mount) => mount.Type !== 'tmpfs' || mount.spec !== undefined);
}

/** Fields that dockerd always prints and the engine does not use. */
const unusedHostConfig = {
  BlkioWeight: 0,
  BlkioWeightDevice: [],
  BlkioDeviceReadBps: [],
  BlkioDeviceWriteBps: [],
  BlkioDeviceReadIOps: [],
  BlkioDeviceWriteIOps: [],
  CpuRealtimePeriod: 0,
  CpuRealtimeRuntime: 0,
  CpuCount: 0,
  CpuPercent: 0,
  Cgroup: '',
  DeviceCgroupRules: null,
  DeviceRequests: null,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
  Isolation: '',
};

function networkSettings({ record, running }: Container, version: ApiVersion): Record<string, unknown> {
  const bridge = record.networks['bridge'];
  const first = bridge ?? {
    EndpointID: '',
    Gateway: '',
    IPAddress: '',
    IPPrefixLen: 0,
    MacAddress: '',
  };
  return {
    Bridge: '',
    SandboxID: running && Object.keys(record.networks).length > 0 ? record.id : '',
    SandboxKey: running && Object.keys(record.networks).length > 0 ? `/proc/${record.state.pid}/ns/net` : '',
    Ports: record.ports,
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: first.EndpointID,
    Gateway: first.Gateway,
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    IPAddress: first.IPAddress,
    IPPrefixLen: first.IPPrefixLen,
    IPv6Gateway: '',
    MacAddress: first.MacAddress,
    Networks: Object.fromEntries(
      Object.entries(record.networks).map(([name, settings]) => [
        name,
        endpointView(settings, record.id, version),
      ]),
    ),
  };
}

/** `GET /containers/{id}/json`. */
export function containerInspect(
  engine: Engine,
  container: Container,
  version: ApiVersion,
  size?: { readonly writableBytes: number; readonly rootBytes: number },
): Record<string, unknown> {
  const { record } = container;
  const { core } = engine;
  const [path = '', ...args] = commandLine(record.config);
  const file = (name: string): string => `${core.root}/containers/${record.id}/${name}`;
  const execIds = core.execs.running(record.id);
  return {
    Id: record.id,
    Created: record.createdAt,
    Path: path,
    Args: args,
    State: stateView(container),
    Image: record.imageId,
    ResolvConfPath: file('resolv.conf'),
    HostnamePath: file('hostname'),
    HostsPath: file('hosts'),
    LogPath: file('container.log'),
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: core.driver.name,
    Platform: record.platform,
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: execIds.length > 0 ? execIds : null,
    HostConfig: { ...unusedHostConfig, ...record.hostConfig },
    GraphDriver: { Data: graphData(engine, record.id), Name: core.driver.name },
    ...(size ? { SizeRw: size.writableBytes, SizeRootFs: size.rootBytes } : {}),
    Mounts: shownMounts(record.mounts).map(mountView),
    Config: {
      ...record.config,
      Volumes: record.config.Volumes ?? null,
      OnBuild: record.config.OnBuild ?? null,
    },
    NetworkSettings: networkSettings(container, version),
  };
}

function graphData(engine: Engine, id: string): Record<string, string> {
  try {
    return engine.core.driver.metadata(id);
  } catch {
    // A snapshot that is being removed has none.
    return {};
  }
}
