import { readFileSync } from 'node:fs';
import type { ContainerCreate, HostConfig, Mount, PortBinding } from '@varve/client';
import { parseBytes, parseDuration, VarveError } from '../base/index.ts';
import type { Flag, FlagValues } from './flags.ts';

const list = (name: string, value: string, description: string, short?: string): Flag => ({
  name,
  type: 'list',
  value,
  description,
  ...(short === undefined ? {} : { short }),
});
const text = (name: string, value: string, description: string, short?: string): Flag => ({
  name,
  type: 'string',
  value,
  description,
  ...(short === undefined ? {} : { short }),
});
const flag = (name: string, description: string, short?: string): Flag => ({
  name,
  type: 'boolean',
  description,
  ...(short === undefined ? {} : { short }),
});
const number = (name: string, description: string, short?: string): Flag => ({
  name,
  type: 'number',
  value: 'int',
  description,
  ...(short === undefined ? {} : { short }),
});

/** Flags that `run` and `create` share; names and meanings are Docker's. */
export const containerFlags: readonly Flag[] = [
  list('add-host', 'host:ip', 'Add a line to /etc/hosts'),
  list('attach', 'stream', 'Attach to STDIN, STDOUT or STDERR', 'a'),
  list('cap-add', 'capability', 'Add a Linux capability'),
  list('cap-drop', 'capability', 'Drop a Linux capability'),
  text('cgroup-parent', 'path', 'Parent control group'),
  text('cidfile', 'file', "Write the container's id to a file"),
  number('cpu-period', 'CFS period in microseconds'),
  number('cpu-quota', 'CFS quota in microseconds'),
  number('cpu-shares', 'CPU shares (relative weight)', 'c'),
  number('cpus', 'Number of CPUs'),
  text('cpuset-cpus', 'list', 'CPUs it may run on (0-3, 0,1)'),
  text('cpuset-mems', 'list', 'Memory nodes it may use'),
  list('device', 'device', 'Add a device of the host'),
  list('dns', 'ip', 'DNS servers'),
  list('dns-option', 'option', 'DNS options'),
  list('dns-search', 'domain', 'DNS search domains'),
  text('domainname', 'name', 'NIS domain name'),
  text('entrypoint', 'command', "Replace the image's ENTRYPOINT"),
  list('env', 'name=value', 'Set an environment variable', 'e'),
  list('env-file', 'file', 'Read environment variables from a file'),
  list('expose', 'port', 'Declare a port'),
  list('group-add', 'group', 'Further groups of the process'),
  text('health-cmd', 'command', 'Command of the health check'),
  text('health-interval', 'duration', 'Time between checks'),
  number('health-retries', 'Failures until unhealthy'),
  text('health-start-period', 'duration', 'Time before failures count'),
  text('health-timeout', 'duration', 'Time one check may take'),
  text('hostname', 'name', 'Host name', 'h'),
  flag('init', 'Run an init that forwards signals and reaps processes'),
  flag('interactive', 'Keep STDIN open', 'i'),
  text('ip', 'address', 'IPv4 address'),
  text('ipc', 'mode', 'IPC namespace (host, private, container:NAME)'),
  list('label', 'name=value', 'Set a label', 'l'),
  list('label-file', 'file', 'Read labels from a file'),
  text('log-driver', 'driver', 'Log driver'),
  list('log-opt', 'name=value', 'Log driver option'),
  text('mac-address', 'address', 'MAC address'),
  text('memory', 'bytes', 'Memory limit', 'm'),
  text('memory-reservation', 'bytes', 'Memory soft limit'),
  text('memory-swap', 'bytes', "Memory and swap limit; '-1' for unlimited swap"),
  list('mount', 'mount', 'Mount: type=bind|volume|tmpfs,source=…,target=…[,readonly]'),
  text('name', 'name', 'Name of the container'),
  text('network', 'network', 'Network to join'),
  text('net', 'network', 'Network to join'),
  list('network-alias', 'alias', 'Name on the network'),
  flag('no-healthcheck', "Don't run the image's health check"),
  number('oom-score-adj', "Adjust the host's OOM preference"),
  text('pid', 'mode', 'PID namespace (host, container:NAME)'),
  number('pids-limit', 'Limit of processes'),
  text('platform', 'platform', 'Platform of the image (os/arch[/variant])'),
  flag('privileged', 'Give it all capabilities and devices'),
  list('publish', 'port', 'Publish a port: [ip:][host:]container[/protocol]', 'p'),
  flag('publish-all', 'Publish all exposed ports', 'P'),
  text('pull', 'policy', 'Pull the image first: always, missing, never'),
  flag('quiet', 'Suppress pull output', 'q'),
  flag('read-only', 'Mount the root file system read-only'),
  text('restart', 'policy', 'Restart policy: no, on-failure[:n], always, unless-stopped'),
  flag('rm', 'Remove the container when it ends'),
  list('security-opt', 'option', 'Security options'),
  text('shm-size', 'bytes', 'Size of /dev/shm'),
  text('stop-signal', 'signal', 'Signal that stops it'),
  number('stop-timeout', 'Seconds until it is killed'),
  list('storage-opt', 'name=value', 'Storage driver options'),
  list('sysctl', 'name=value', 'Kernel parameters of its namespaces'),
  list('tmpfs', 'path', 'Mount a tmpfs'),
  flag('tty', 'Give it a terminal', 't'),
  list('ulimit', 'name=soft[:hard]', 'Limits of its processes'),
  text('user', 'user', 'User: name|uid[:group|gid]', 'u'),
  text('uts', 'mode', 'UTS namespace (host)'),
  list('volume', 'volume', 'Mount: [name|/host/path:]/path[:ro]', 'v'),
  list('volumes-from', 'container', 'Mount the volumes of another container'),
  text('workdir', 'path', 'Working directory', 'w'),
];

function pairs(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const equals = entry.indexOf('=');
      return equals === -1 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

function fileLines(paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => line.trimStart().replace(/\r$/, ''))
      .filter((line) => line !== '' && !line.startsWith('#')),
  );
}

/** `A` takes its value from the caller's environment; without one it is left out. */
function environment(
  entries: readonly string[],
  own: Readonly<Record<string, string | undefined>>,
): string[] {
  return entries.flatMap((entry) =>
    entry.includes('=') ? [entry] : own[entry] === undefined ? [] : [`${entry}=${own[entry]}`],
  );
}

function invalid(message: string): VarveError {
  return new VarveError('invalid', 'USAGE', message);
}

/** Reads `[ip:][host:]container[/protocol]` with ranges, as `-p` takes it (docker/go-connections nat). */
export function parsePort(entry: string): { readonly port: string; readonly binding: PortBinding }[] {
  const [ports = '', protocol = 'tcp'] = entry.split('/');
  const match = /^(?:(\[[^\]]*\]|[^:]*):)??(?:([\d-]*):)?([\d-]+)$/.exec(ports);
  if (!/^(tcp|udp|sctp)$/.test(protocol)) throw invalid(`invalid proto: ${protocol}`);
  if (!match) throw invalid(`invalid containerPort: ${ports}`);
  const [, address = '', host = '', container = ''] = match;
  const range = (text: string): number[] => {
    const [first = Number.NaN, last = first] = text.split('-').map(Number);
    if (!(first >= 0 && last <= 65_535 && first <= last)) throw invalid(`invalid containerPort: ${text}`);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  };
  const inside = range(container);
  const outside = host === '' ? undefined : range(host);
  if (outside && outside.length !== inside.length)
    throw invalid(`invalid ranges specified for container and host Ports: ${entry}`);
  return inside.map((port, index) => ({
    port: `${port}/${protocol}`,
    binding: { HostIp: address.replace(/^\[|\]$/g, ''), HostPort: outside ? String(outside[index]) : '' },
  }));
}

/** Reads a `--mount`. */
export function parseMount(entry: string): Mount {
  const fields = new Map(
    entry.split(',').map((part) => {
      const equals = part.indexOf('=');
      return equals === -1 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)];
    }),
  );
  const get = (...names: string[]): string | undefined =>
    names.map((name) => fields.get(name)).find((value) => value !== undefined);
  const type = get('type') ?? 'volume';
  if (type !== 'bind' && type !== 'volume' && type !== 'tmpfs')
    throw invalid(`invalid argument "${entry}" for "--mount" flag: unknown mount type '${type}'`);
  const target = get('target', 'dst', 'destination');
  if (target === undefined)
    throw invalid(`invalid argument "${entry}" for "--mount" flag: target is required`);
  const readOnly = get('readonly', 'ro');
  const size = get('tmpfs-size');
  const source = get('source', 'src');
  return {
    Type: type,
    Target: target,
    ...(source === undefined ? {} : { Source: source }),
    ...(readOnly === undefined
      ? {}
      : { ReadOnly: readOnly === '' || readOnly === 'true' || readOnly === '1' }),
    ...(type === 'tmpfs' && size !== undefined ? { TmpfsOptions: { SizeBytes: parseBytes(size) } } : {}),
    ...(type === 'volume' && fields.has('volume-nocopy') ? { VolumeOptions: { NoCopy: true } } : {}),
  };
}

function restartPolicy(text: string): HostConfig['RestartPolicy'] {
  const [Name = '', count] = text.split(':');
  return { Name, ...(count === undefined ? {} : { MaximumRetryCount: Number(count) }) };
}

function device(entry: string): NonNullable<HostConfig['Devices']>[number] {
  const [host = '', second, third] = entry.split(':');
  const isMode = second !== undefined && third === undefined && /^[rwm]+$/.test(second);
  return {
    PathOnHost: host,
    PathInContainer: isMode || second === undefined ? host : second,
    CgroupPermissions: (isMode ? second : third) ?? 'rwm',
  };
}

function ulimit(entry: string): NonNullable<HostConfig['Ulimits']>[number] {
  const match = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(entry);
  if (!match) throw invalid(`invalid ulimit argument: ${entry}`);
  const soft = Number(match[2]);
  return { Name: match[1] as string, Soft: soft, Hard: match[3] === undefined ? soft : Number(match[3]) };
}

/** The request of `run` and `create`. `words` are the image and the command. */
export function containerRequest(
  flags: FlagValues,
  words: readonly string[],
  own: Readonly<Record<string, string | undefined>>,
): ContainerCreate {
  const [image = '', ...command] = words;
  const published = flags.list('publish').flatMap(parsePort);
  const bindings: Record<string, PortBinding[]> = {};
  for (const { port, binding } of published) (bindings[port] ??= []).push(binding);
  const exposed = [
    ...Object.keys(bindings),
    ...flags.list('expose').flatMap((entry) => parsePort(entry).map(({ port }) => port)),
  ];
  const bytes = (name: string): number | undefined => {
    const value = flags.string(name);
    return value === undefined ? undefined : value === '-1' ? -1 : parseBytes(value);
  };
  const time = (name: string): number | undefined => {
    const value = flags.string(name);
    return value === undefined ? undefined : parseDuration(value);
  };
  const volumes = flags.list('volume');
  const network = flags.string('network') ?? flags.string('net');
  const entrypoint = flags.string('entrypoint');
  const healthCommand = flags.string('health-cmd');
  const health = flags.boolean('no-healthcheck')
    ? { Test: ['NONE'] }
    : {
        Test: healthCommand === undefined ? undefined : ['CMD-SHELL', healthCommand],
        Interval: time('health-interval'),
        Timeout: time('health-timeout'),
        StartPeriod: time('health-start-period'),
        Retries: flags.number('health-retries'),
      };
  const host = {
    Binds: volumes.filter((volume) => volume.includes(':')),
    Mounts: flags.list('mount').map(parseMount),
    NetworkMode: network ?? 'default',
    PortBindings: bindings,
    PublishAllPorts: flags.boolean('publish-all'),
    RestartPolicy: restartPolicy(flags.string('restart') ?? 'no'),
    AutoRemove: flags.boolean('rm'),
    Privileged: flags.boolean('privileged'),
    ReadonlyRootfs: flags.boolean('read-only'),
    CapAdd: flags.list('cap-add'),
    CapDrop: flags.list('cap-drop'),
    SecurityOpt: flags.list('security-opt'),
    Devices: flags.list('device').map(device),
    Dns: flags.list('dns'),
    DnsSearch: flags.list('dns-search'),
    DnsOptions: flags.list('dns-option'),
    ExtraHosts: flags.list('add-host'),
    GroupAdd: flags.list('group-add'),
    IpcMode: flags.string('ipc'),
    PidMode: flags.string('pid'),
    UTSMode: flags.string('uts'),
    Tmpfs: Object.fromEntries(
      flags.list('tmpfs').map((entry) => [entry.split(':')[0] as string, entry.split(':')[1] ?? '']),
    ),
    VolumesFrom: flags.list('volumes-from'),
    Sysctls: pairs(flags.list('sysctl')),
    Ulimits: flags.list('ulimit').map(ulimit),
    ShmSize: bytes('shm-size'),
    Init: flags.given('init') ? flags.boolean('init') : undefined,
    OomScoreAdj: flags.number('oom-score-adj'),
    CgroupParent: flags.string('cgroup-parent'),
    Memory: bytes('memory'),
    MemoryReservation: bytes('memory-reservation'),
    MemorySwap: bytes('memory-swap'),
    NanoCpus:
      flags.number('cpus') === undefined ? undefined : Math.round((flags.number('cpus') as number) * 1e9),
    CpuShares: flags.number('cpu-shares'),
    CpuPeriod: flags.number('cpu-period'),
    CpuQuota: flags.number('cpu-quota'),
    CpusetCpus: flags.string('cpuset-cpus'),
    CpusetMems: flags.string('cpuset-mems'),
    PidsLimit: flags.number('pids-limit'),
    StorageOpt: flags.list('storage-opt').length === 0 ? undefined : pairs(flags.list('storage-opt')),
    LogConfig:
      flags.given('log-driver') || flags.given('log-opt')
        ? { Type: flags.string('log-driver') ?? '', Config: pairs(flags.list('log-opt')) }
        : undefined,
  };
  const attached = flags.list('attach').map((stream) => stream.toLowerCase());
  const interactive = flags.boolean('interactive');
  const endpoint = {
    Aliases: flags.list('network-alias'),
    ...(flags.string('ip') === undefined
      ? {}
      : { IPAMConfig: { IPv4Address: flags.string('ip') as string } }),
  };
  const config = {
    Image: image,
    Hostname: flags.string('hostname'),
    Domainname: flags.string('domainname'),
    User: flags.string('user'),
    AttachStdin: attached.length === 0 ? interactive : attached.includes('stdin'),
    AttachStdout: attached.length === 0 || attached.includes('stdout'),
    AttachStderr: attached.length === 0 || attached.includes('stderr'),
    Tty: flags.boolean('tty'),
    OpenStdin: interactive,
    StdinOnce: interactive && !flags.boolean('detach'),
    Env: environment([...fileLines(flags.list('env-file')), ...flags.list('env')], own),
    Cmd: command.length === 0 ? undefined : command,
    Entrypoint: entrypoint === undefined ? undefined : [entrypoint],
    Labels: pairs([...fileLines(flags.list('label-file')), ...flags.list('label')]),
    ExposedPorts: exposed.length === 0 ? undefined : Object.fromEntries(exposed.map((port) => [port, {}])),
    Volumes: Object.fromEntries(volumes.filter((volume) => !volume.includes(':')).map((path) => [path, {}])),
    WorkingDir: flags.string('workdir'),
    StopSignal: flags.string('stop-signal'),
    StopTimeout: flags.number('stop-timeout'),
    MacAddress: flags.string('mac-address'),
    Healthcheck: Object.values(health).every((value) => value === undefined) ? undefined : health,
    HostConfig: host,
    NetworkingConfig:
      network !== undefined && (endpoint.Aliases.length > 0 || 'IPAMConfig' in endpoint)
        ? { EndpointsConfig: { [network]: endpoint } }
        : undefined,
  };
  // JSON leaves undefined members out; the request's types have no room for them.
  return JSON.parse(JSON.stringify(config)) as ContainerCreate;
}
