import { isIP } from 'node:net';
import { cpus } from 'node:os';
import { VarveError } from '../base/index.ts';
import { defaultMaskedPaths, defaultReadonlyPaths } from '../runtime/index.ts';
import type { HostConfig, RestartPolicyName } from './types.ts';

const defaults: HostConfig = {
  Binds: null,
  ContainerIDFile: '',
  LogConfig: { Type: 'json-file', Config: {} },
  NetworkMode: 'bridge',
  PortBindings: {},
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  AutoRemove: false,
  VolumeDriver: '',
  VolumesFrom: null,
  ConsoleSize: [0, 0],
  CapAdd: null,
  CapDrop: null,
  CgroupnsMode: 'host',
  CgroupParent: '',
  Dns: [],
  DnsOptions: [],
  DnsSearch: [],
  ExtraHosts: null,
  GroupAdd: null,
  IpcMode: 'private',
  Links: null,
  OomScoreAdj: 0,
  PidMode: '',
  Privileged: false,
  PublishAllPorts: false,
  ReadonlyRootfs: false,
  SecurityOpt: null,
  UTSMode: '',
  UsernsMode: '',
  ShmSize: 64 * 1024 * 1024,
  Runtime: 'runc',
  Devices: [],
  Ulimits: null,
  MaskedPaths: null,
  ReadonlyPaths: null,
  CpuShares: 0,
  Memory: 0,
  NanoCpus: 0,
  CpuPeriod: 0,
  CpuQuota: 0,
  CpusetCpus: '',
  CpusetMems: '',
  MemoryReservation: 0,
  MemorySwap: 0,
  MemorySwappiness: null,
  OomKillDisable: null,
  PidsLimit: null,
};

const policies: readonly RestartPolicyName[] = ['', 'no', 'always', 'unless-stopped', 'on-failure'];
/** The least memory limit, as moby has it (6 MiB). */
const minimumMemory = 6 * 1024 * 1024;

function invalid(message: string): VarveError {
  return new VarveError('invalid', 'INVALID_HOST_CONFIG', message);
}

/** Drops what is absent, and empty strings and zeros where Docker reads them as "use the default". */
function given(request: Partial<HostConfig>): Partial<HostConfig> {
  const emptyIsDefault = ['NetworkMode', 'CgroupnsMode', 'IpcMode', 'Runtime', 'ShmSize'];
  return Object.fromEntries(
    Object.entries(request).filter(([key, value]) => {
      if (value === undefined) return false;
      if (value === null) return (defaults as unknown as Record<string, unknown>)[key] === null;
      return !(emptyIsDefault.includes(key) && (value === '' || value === 0));
    }),
  );
}

/** @throws VarveError `invalid` in Docker's words. */
export function checkRestartPolicy(policy: HostConfig['RestartPolicy']): void {
  if (!policies.includes(policy.Name))
    throw invalid(`invalid restart policy: unknown policy '${policy.Name}'`);
  if (policy.MaximumRetryCount < 0) {
    throw invalid('invalid restart policy: maximum retry count cannot be negative');
  }
  if (policy.MaximumRetryCount > 0 && policy.Name !== 'on-failure') {
    throw invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
}

/**
 * Fills the defaults in and checks the rules that need nothing but the request.
 * @throws VarveError `invalid` in Docker's words.
 */
export function completeHostConfig(request: Partial<HostConfig>): HostConfig {
  const config: HostConfig = {
    ...defaults,
    MaskedPaths: defaultMaskedPaths(),
    ReadonlyPaths: defaultReadonlyPaths,
    ...given(request),
  };
  const policy = config.RestartPolicy;
  checkRestartPolicy(policy);
  if (config.AutoRemove && policy.Name !== '' && policy.Name !== 'no') {
    throw invalid("can't create 'AutoRemove' container with restart policy");
  }
  if (config.ShmSize < 0) throw invalid('SHM size can not be less than 0');
  checkResources(config);
  checkNamespaces(config);
  checkResolver(config);
  return {
    ...config,
    NetworkMode: config.NetworkMode === 'default' ? 'bridge' : config.NetworkMode,
    RestartPolicy: { Name: policy.Name || 'no', MaximumRetryCount: policy.MaximumRetryCount ?? 0 },
    LogConfig: { Type: config.LogConfig.Type || 'json-file', Config: config.LogConfig.Config ?? {} },
    ...(config.Privileged ? { MaskedPaths: null, ReadonlyPaths: null } : {}),
    // Without a swap limit Docker gives as much swap again as memory.
    ...(config.Memory > 0 && config.MemorySwap === 0 ? { MemorySwap: config.Memory * 2 } : {}),
  };
}

/** Least and most period of the CPU scheduler, microseconds; the least is that of a quota too. */
const cpuPeriod = { least: 1000, most: 1_000_000 };

function checkCpu(config: HostConfig): void {
  if (config.NanoCpus > 0 && (config.CpuPeriod > 0 || config.CpuQuota > 0)) {
    throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set');
  }
  const cores = cpus().length;
  if (config.NanoCpus < 0 || config.NanoCpus > cores * 1e9) {
    throw invalid(`range of CPUs is from 0.01 to ${cores}.00, as there are only ${cores} CPUs available`);
  }
  if (config.CpuShares < 0) throw invalid('invalid CPU shares: must be greater than or equal to 0');
  if (config.CpuPeriod !== 0 && (config.CpuPeriod < cpuPeriod.least || config.CpuPeriod > cpuPeriod.most)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (config.CpuQuota > 0 && config.CpuQuota < cpuPeriod.least) {
    throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  }
  for (const [what, list] of [
    ['cpus', config.CpusetCpus],
    ['mems', config.CpusetMems],
  ] as const) {
    if (list !== '' && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(list)) {
      throw invalid(`Invalid value ${list} for cpuset ${what}`);
    }
  }
}

function checkMemory(config: HostConfig): void {
  if (config.Memory !== 0 && config.Memory < minimumMemory) {
    throw invalid('Minimum memory limit allowed is 6MB');
  }
  if (config.MemorySwap < -1) throw invalid(`invalid memory swap limit: ${config.MemorySwap}`);
  if (config.Memory > 0 && config.MemorySwap > 0 && config.MemorySwap < config.Memory) {
    throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (config.Memory === 0 && config.MemorySwap > 0) {
    throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (config.MemoryReservation !== 0 && config.MemoryReservation < minimumMemory) {
    throw invalid('Minimum memory reservation allowed is 6MB');
  }
  if (config.MemoryReservation > 0 && config.Memory > 0 && config.Memory < config.MemoryReservation) {
    throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
  const swappiness = config.MemorySwappiness ?? -1;
  if (swappiness < -1 || swappiness > 100) {
    throw invalid(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
}

/** @throws VarveError `invalid`, in Docker's words, for limits out of range or that contradict each other. */
export function checkResources(config: HostConfig): void {
  checkMemory(config);
  checkCpu(config);
  if (config.OomScoreAdj < -1000 || config.OomScoreAdj > 1000) {
    throw invalid(`Invalid value ${config.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  }
}

/** Modes of namespaces; one that shares another container's says which. */
const namespaceModes = [
  { field: 'IpcMode', name: 'IPC', modes: ['none', 'private', 'shareable', 'host'], shares: true },
  { field: 'PidMode', name: 'PID', modes: ['host'], shares: true },
  { field: 'UTSMode', name: 'UTS', modes: ['host'], shares: false },
  { field: 'UsernsMode', name: 'user namespace', modes: ['host'], shares: false },
  { field: 'CgroupnsMode', name: 'cgroup namespace', modes: ['host', 'private'], shares: false },
] as const;

/** A mode that is not known must not be taken for a weaker one. */
function checkNamespaces(config: HostConfig): void {
  for (const { field, name, modes, shares } of namespaceModes) {
    const mode = config[field];
    if (mode === '' || (modes as readonly string[]).includes(mode)) continue;
    if (shares && /^container:./.test(mode)) continue;
    throw invalid(`invalid ${name} mode: ${mode}`);
  }
}

/** What becomes a line of a file in the container must be one. */
function checkResolver(config: HostConfig): void {
  for (const server of config.Dns) if (isIP(server) === 0) throw invalid(`invalid IP address: ${server}`);
  for (const word of [...config.DnsSearch, ...config.DnsOptions]) {
    if (word === '' || /[\s\0]/.test(word)) throw invalid(`invalid DNS setting: ${JSON.stringify(word)}`);
  }
}
