import { z } from 'zod';
import { VarveError } from '../base/index.ts';
import type { CreateRequest, ExecRequest, UpdateRequest } from '../engine/index.ts';

/** Go reads null as "not given" everywhere. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [key, withoutNulls(inner)]),
  );
}

const text = z.string().optional();
const flag = z.boolean().optional();
const integer = z.number().int().optional();
/** A limit may be the most a 64-bit number holds, which is more than an exact number here. */
const limit = z.number().refine((value) => value % 1 === 0, 'expected a whole number');
/** Rows and columns of a terminal. */
const terminal = z
  .tuple([z.number().int().min(0).max(65_535), z.number().int().min(0).max(65_535)])
  .optional();
const texts = z.array(z.string()).optional();
const map = z.record(z.string(), z.string()).optional();
const set = z
  .record(
    z.string(),
    z.unknown().transform(() => ({})),
  )
  .optional();
/** Old clients send a command as one string. */
const words = z
  .union([z.array(z.string()), z.string().transform((one) => (one === '' ? [] : [one]))])
  .optional();

const healthcheck = z
  .object({
    Test: texts,
    Interval: integer,
    Timeout: integer,
    StartPeriod: integer,
    StartInterval: integer,
    Retries: integer,
  })
  .optional();

const settings = z.object({
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  ExposedPorts: set,
  Tty: flag,
  OpenStdin: flag,
  StdinOnce: flag,
  Env: texts,
  Cmd: words,
  Entrypoint: words,
  Image: text,
  Labels: map,
  Volumes: set,
  WorkingDir: text,
  NetworkDisabled: flag,
  MacAddress: text,
  OnBuild: texts,
  StopSignal: text,
  StopTimeout: integer,
  Healthcheck: healthcheck,
  Shell: texts,
});

const hostPort = z.object({
  HostIp: text,
  HostPort: z.union([z.string(), z.number().transform(String)]).optional(),
});

const mount = z.object({
  Type: z.enum(['bind', 'volume', 'tmpfs', 'image', 'npipe', 'cluster']),
  Source: text,
  Target: z.string().default(''),
  ReadOnly: flag,
  Consistency: text,
  BindOptions: z.object({ Propagation: text, NonRecursive: flag, CreateMountpoint: flag }).optional(),
  VolumeOptions: z
    .object({
      NoCopy: flag,
      Labels: map,
      Subpath: text,
      DriverConfig: z.object({ Name: text, Options: map }).optional(),
    })
    .optional(),
  TmpfsOptions: z.object({ SizeBytes: integer, Mode: integer }).optional(),
});

const resources = {
  CpuShares: integer,
  Memory: integer,
  NanoCpus: integer,
  CpuPeriod: integer,
  CpuQuota: integer,
  CpusetCpus: text,
  CpusetMems: text,
  MemoryReservation: integer,
  MemorySwap: integer,
  MemorySwappiness: integer,
  OomKillDisable: flag,
  PidsLimit: integer,
};

const restartPolicy = z
  .object({ Name: z.string().default(''), MaximumRetryCount: z.number().int().default(0) })
  .optional();

const hostConfig = z.object({
  ...resources,
  Binds: texts,
  ContainerIDFile: text,
  LogConfig: z
    .object({ Type: z.string().default(''), Config: z.record(z.string(), z.string()).default({}) })
    .optional(),
  NetworkMode: text,
  PortBindings: z.record(z.string(), z.array(hostPort).nullable()).optional(),
  RestartPolicy: restartPolicy,
  AutoRemove: flag,
  VolumeDriver: text,
  VolumesFrom: texts,
  Mounts: z.array(mount).optional(),
  ConsoleSize: terminal,
  Annotations: map,
  CapAdd: texts,
  CapDrop: texts,
  CgroupnsMode: text,
  CgroupParent: text,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  GroupAdd: texts,
  IpcMode: text,
  Links: texts,
  OomScoreAdj: integer,
  PidMode: text,
  Privileged: flag,
  PublishAllPorts: flag,
  ReadonlyRootfs: flag,
  SecurityOpt: texts,
  StorageOpt: map,
  Tmpfs: map,
  UTSMode: text,
  UsernsMode: text,
  ShmSize: integer,
  Sysctls: map,
  Runtime: text,
  Init: flag,
  Devices: z
    .array(
      z.object({
        PathOnHost: z.string(),
        PathInContainer: z.string().default(''),
        CgroupPermissions: z.string().default('rwm'),
      }),
    )
    .optional(),
  DeviceRequests: z
    .array(z.object({ Driver: text, Capabilities: z.array(z.array(z.string())).optional() }))
    .optional(),
  Ulimits: z.array(z.object({ Name: z.string(), Soft: limit, Hard: limit })).optional(),
  MaskedPaths: texts,
  ReadonlyPaths: texts,
});

const endpoint = z.object({
  IPAMConfig: z.object({ IPv4Address: text, IPv6Address: text }).optional(),
  Links: texts,
  Aliases: texts,
  DriverOpts: map,
  MacAddress: text,
});

const endpoints = z.record(z.string(), endpoint.nullable());

const createBody = z.object({
  ...settings.shape,
  HostConfig: hostConfig.optional(),
  NetworkingConfig: z.object({ EndpointsConfig: endpoints.optional() }).optional(),
});

/** Reads a document of a known shape. @throws VarveError `invalid` that names the first wrong field. */
export function parseDocument<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  throw new VarveError(
    'invalid',
    'INVALID_JSON',
    `invalid JSON: ${path === '' ? '' : `${path}: `}${issue?.message ?? ''}`,
    {
      subject: path,
    },
  );
}

/** The body of `POST /containers/create`. */
export function parseCreateBody(body: unknown): Pick<CreateRequest, 'config' | 'hostConfig' | 'endpoints'> {
  const { HostConfig, NetworkingConfig, ...config } = parseDocument(createBody, clean(body));
  return {
    config,
    ...(HostConfig ? { hostConfig: HostConfig } : {}),
    ...(NetworkingConfig?.EndpointsConfig ? { endpoints: NetworkingConfig.EndpointsConfig } : {}),
  } as Pick<CreateRequest, 'config' | 'hostConfig' | 'endpoints'>;
}

/** Null means "not given", except as the value of a port or network, where the key alone says something. */
function clean(body: unknown): unknown {
  const cleaned = withoutNulls(body) as Record<string, unknown>;
  const raw = body as {
    HostConfig?: { PortBindings?: unknown };
    NetworkingConfig?: { EndpointsConfig?: unknown };
  };
  const inner = (key: string, field: string, value: unknown): Record<string, unknown> => {
    const object = cleaned[key];
    // What is no object is refused by the schema.
    return isObject(object) && isObject(value)
      ? { [key]: { ...object, [field]: Object.fromEntries(Object.entries(value).map(keepNull)) } }
      : {};
  };
  return {
    ...cleaned,
    ...inner('HostConfig', 'PortBindings', raw.HostConfig?.PortBindings),
    ...inner('NetworkingConfig', 'EndpointsConfig', raw.NetworkingConfig?.EndpointsConfig),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function keepNull([key, value]: readonly [string, unknown]): readonly [string, unknown] {
  return [key, value === null ? null : withoutNulls(value)];
}

const updateBody = z.object({ ...resources, RestartPolicy: restartPolicy });

/** The body of `POST /containers/{id}/update`. */
export function parseUpdateBody(body: unknown): UpdateRequest {
  return parseDocument(updateBody, withoutNulls(body)) as UpdateRequest;
}

const execBody = z.object({
  User: text,
  Privileged: flag,
  Tty: flag,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  DetachKeys: text,
  Env: texts,
  WorkingDir: text,
  Cmd: words,
  ConsoleSize: terminal,
});

/** The body of `POST /containers/{id}/exec`. */
export function parseExecBody(body: unknown): ExecRequest {
  return parseDocument(execBody, withoutNulls(body)) as ExecRequest;
}

const execStartBody = z.object({
  Detach: z.boolean().default(false),
  Tty: z.boolean().default(false),
  ConsoleSize: terminal,
});

/** The body of `POST /exec/{id}/start`. */
export function parseExecStartBody(body: unknown): z.output<typeof execStartBody> {
  return parseDocument(execStartBody, withoutNulls(body));
}

const networkBody = z.object({
  Name: z.string().default(''),
  Driver: text,
  Internal: flag,
  Attachable: flag,
  Ingress: flag,
  EnableIPv4: flag,
  EnableIPv6: flag,
  CheckDuplicate: flag,
  Scope: text,
  IPAM: z
    .object({
      Driver: text,
      Config: z.array(z.object({ Subnet: text, IPRange: text, Gateway: text })).optional(),
      Options: map,
    })
    .optional(),
  Options: map,
  Labels: map,
});

/** The body of `POST /networks/create`. */
export function parseNetworkBody(body: unknown): z.output<typeof networkBody> {
  return parseDocument(networkBody, withoutNulls(body));
}

const connectBody = z.object({
  Container: z.string().default(''),
  EndpointConfig: endpoint.optional(),
  Force: z.boolean().default(false),
});

/** The body of `POST /networks/{id}/connect` and `/disconnect`. */
export function parseConnectBody(body: unknown): z.output<typeof connectBody> {
  return parseDocument(connectBody, withoutNulls(body));
}

const volumeBody = z.object({ Name: text, Driver: text, DriverOpts: map, Labels: map });

/** The body of `POST /volumes/create`. */
export function parseVolumeBody(body: unknown): z.output<typeof volumeBody> {
  return parseDocument(volumeBody, withoutNulls(body));
}

/** The configuration in the body of `POST /commit`. */
export function parseCommitBody(body: unknown): CreateRequest['config'] {
  return parseDocument(settings, withoutNulls(body)) as CreateRequest['config'];
}
