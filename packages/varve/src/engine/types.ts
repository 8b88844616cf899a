import type { ContainerConfig, Digest } from '../oci/index.ts';

/** Docker's container configuration: the image's part, and what only a container has. Names as in the Docker API. */
export interface ContainerSettings extends ContainerConfig {
  /** The image as the request named it. */
  readonly Image: string;
  readonly Hostname: string;
  readonly Domainname: string;
  readonly AttachStdin: boolean;
  readonly AttachStdout: boolean;
  readonly AttachStderr: boolean;
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  readonly StdinOnce: boolean;
  readonly NetworkDisabled?: boolean;
  readonly MacAddress?: string;
}

export type RestartPolicyName = '' | 'no' | 'always' | 'unless-stopped' | 'on-failure';

export interface RestartPolicy {
  readonly Name: RestartPolicyName;
  readonly MaximumRetryCount: number;
}

/** One host side of a published port, as given; an empty `HostPort` asks for a free one. */
export interface HostPort {
  readonly HostIp?: string;
  readonly HostPort?: string;
}

export interface DeviceMapping {
  readonly PathOnHost: string;
  readonly PathInContainer: string;
  readonly CgroupPermissions: string;
}

export interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

/** A mount as `--mount` asks for it. */
export interface MountRequest {
  readonly Type: 'bind' | 'volume' | 'tmpfs' | 'image' | 'npipe' | 'cluster';
  readonly Source?: string;
  readonly Target: string;
  readonly ReadOnly?: boolean;
  readonly Consistency?: string;
  readonly BindOptions?: {
    readonly Propagation?: string;
    readonly NonRecursive?: boolean;
    readonly CreateMountpoint?: boolean;
  };
  readonly VolumeOptions?: {
    readonly NoCopy?: boolean;
    readonly Labels?: Readonly<Record<string, string>>;
    readonly Subpath?: string;
    readonly DriverConfig?: { readonly Name?: string; readonly Options?: Readonly<Record<string, string>> };
  };
  readonly TmpfsOptions?: { readonly SizeBytes?: number; readonly Mode?: number };
}

/** Limits that `docker update` may change, as in Docker's HostConfig; 0 and null mean none. */
export interface ResourceSettings {
  readonly CpuShares: number;
  readonly Memory: number;
  readonly NanoCpus: number;
  readonly CpuPeriod: number;
  readonly CpuQuota: number;
  readonly CpusetCpus: string;
  readonly CpusetMems: string;
  readonly MemoryReservation: number;
  readonly MemorySwap: number;
  readonly MemorySwappiness: number | null;
  readonly OomKillDisable: boolean | null;
  readonly PidsLimit: number | null;
}

/** Docker's HostConfig with every default filled in. Names as in the Docker API. */
export interface HostConfig extends ResourceSettings {
  readonly Binds: readonly string[] | null;
  readonly ContainerIDFile: string;
  readonly LogConfig: { readonly Type: string; readonly Config: Readonly<Record<string, string>> };
  readonly NetworkMode: string;
  readonly PortBindings: Readonly<Record<string, readonly HostPort[] | null>>;
  readonly RestartPolicy: RestartPolicy;
  readonly AutoRemove: boolean;
  readonly VolumeDriver: string;
  readonly VolumesFrom: readonly string[] | null;
  readonly Mounts?: readonly MountRequest[];
  readonly ConsoleSize: readonly [number, number];
  readonly Annotations?: Readonly<Record<string, string>>;
  readonly CapAdd: readonly string[] | null;
  readonly CapDrop: readonly string[] | null;
  readonly CgroupnsMode: string;
  readonly CgroupParent: string;
  readonly Dns: readonly string[];
  readonly DnsOptions: readonly string[];
  readonly DnsSearch: readonly string[];
  readonly ExtraHosts: readonly string[] | null;
  readonly GroupAdd: readonly string[] | null;
  readonly IpcMode: string;
  readonly Links: readonly string[] | null;
  readonly OomScoreAdj: number;
  readonly PidMode: string;
  readonly Privileged: boolean;
  readonly PublishAllPorts: boolean;
  readonly ReadonlyRootfs: boolean;
  readonly SecurityOpt: readonly string[] | null;
  readonly StorageOpt?: Readonly<Record<string, string>>;
  readonly Tmpfs?: Readonly<Record<string, string>>;
  readonly UTSMode: string;
  readonly UsernsMode: string;
  readonly ShmSize: number;
  readonly Sysctls?: Readonly<Record<string, string>>;
  readonly Runtime: string;
  readonly Init?: boolean | null;
  readonly Devices: readonly DeviceMapping[];
  readonly DeviceRequests?:
    | readonly {
        readonly Driver?: string | undefined;
        readonly Capabilities?: readonly (readonly string[])[] | undefined;
      }[]
    | null;
  readonly Ulimits: readonly Ulimit[] | null;
  readonly MaskedPaths: readonly string[] | null;
  readonly ReadonlyPaths: readonly string[] | null;
}

/** What a request asks of one network, and, while the container runs, what it got there. */
export interface EndpointSettings {
  readonly NetworkID: string;
  readonly EndpointID: string;
  readonly Gateway: string;
  readonly IPAddress: string;
  readonly IPPrefixLen: number;
  readonly MacAddress: string;
  readonly IPAMConfig: { readonly IPv4Address?: string; readonly IPv6Address?: string } | null;
  readonly Links: readonly string[] | null;
  readonly Aliases: readonly string[] | null;
  readonly DriverOpts: Readonly<Record<string, string>> | null;
  readonly DNSNames: readonly string[] | null;
}

/** A mount of the container, resolved: what inspect shows as `Mounts`. */
export interface MountPoint {
  readonly Type: 'bind' | 'volume' | 'tmpfs';
  /** Volume name. */
  readonly Name?: string;
  /** Folder on the host; empty for tmpfs. */
  readonly Source: string;
  readonly Destination: string;
  readonly Driver?: string;
  /** As given after the second colon (`ro`, `z`, …). */
  readonly Mode: string;
  readonly RW: boolean;
  readonly Propagation: string;
  /** The container made this volume without a name: it goes with the container. */
  readonly anonymous?: boolean;
  /** Mount options for the runtime (`size=64m`, `rbind`). */
  readonly options?: readonly string[];
  /** Copy the image's content into the empty volume at the first start. */
  readonly copyUp?: boolean;
  /** From the image's or the request's `Volumes`, from `Mounts`, or from `Binds`: inspect and commit tell them apart. */
  readonly spec?: MountRequest;
}

export type ContainerStatus =
  | 'created'
  | 'running'
  | 'paused'
  | 'restarting'
  | 'removing'
  | 'exited'
  | 'dead';

export interface HealthResult {
  /** RFC 3339 with nine digits. */
  readonly Start: string;
  readonly End: string;
  readonly ExitCode: number;
  readonly Output: string;
}

export interface HealthState {
  readonly Status: 'starting' | 'healthy' | 'unhealthy';
  readonly FailingStreak: number;
  readonly Log: readonly HealthResult[];
}

/** Where the container is in its life. */
export interface ContainerState {
  readonly status: ContainerStatus;
  readonly pid: number;
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  /** RFC 3339 with nine digits; `0001-01-01T00:00:00Z` for never. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly health?: HealthState;
}

/** All the engine keeps about a container: one JSON document in the database, replaced whole. */
export interface ContainerRecord {
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  readonly createdAt: string;
  /** Counts the writes of this record. */
  readonly generation: number;
  readonly imageId: Digest;
  readonly platform: string;
  readonly config: ContainerSettings;
  readonly hostConfig: HostConfig;
  readonly mounts: readonly MountPoint[];
  /** By network name, in the order they are attached. */
  readonly networks: Readonly<Record<string, EndpointSettings>>;
  /** Published ports as bound on the host, `80/tcp` to its bindings; exposed ones without a binding are null. */
  readonly ports: Readonly<Record<string, readonly Required<HostPort>[] | null>>;
  readonly state: ContainerState;
  readonly restartCount: number;
  /** Stopped by a user: `unless-stopped` leaves it alone when the engine starts. */
  readonly manuallyStopped: boolean;
  /** Kernel boot in which it was started last: after another boot nothing of it runs. */
  readonly bootId: string;
}

/** A request to create a container, as the Docker API has it. */
export interface CreateRequest {
  readonly name?: string;
  readonly platform?: string;
  readonly config: Partial<ContainerSettings>;
  readonly hostConfig?: Partial<HostConfig>;
  readonly endpoints?: Readonly<Record<string, Partial<EndpointSettings> | null>>;
}

/** What all lists and clean-ups take: each key with its wanted values; values of one key are alternatives, except labels. */
export type Filters = Readonly<Record<string, readonly string[]>>;

/** Docker's way to write "never". */
export const zeroTime = '0001-01-01T00:00:00Z';

/** The state of a new container. */
export const neverStarted: ContainerState = {
  status: 'created',
  pid: 0,
  exitCode: 0,
  error: '',
  oomKilled: false,
  startedAt: zeroTime,
  finishedAt: zeroTime,
};
