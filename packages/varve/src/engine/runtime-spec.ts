import type { ContainerSpec, Resources, RuntimeMount } from '../runtime/index.ts';
import { sharedMemory } from './shared-memory.ts';
import { sharedNamespace } from './container-network.ts';
import type { EngineCore } from './core.ts';
import { etcMounts } from './etc-files.ts';
import { sharedContainer } from './network-settings.ts';
import { runtimeMount } from './mounts.ts';
import { commandLine, defaultPath } from './settings.ts';
import type { ContainerRecord, HostConfig, ResourceSettings } from './types.ts';

/** Docker's limits as the runtime takes them: absent where none is set. */
export function toResources(host: ResourceSettings): Resources {
  const number = <K extends string>(key: K, value: number | null | undefined): Partial<Record<K, number>> =>
    value ? ({ [key]: value } as Record<K, number>) : {};
  return {
    ...number('memory', host.Memory),
    ...number('memoryReservation', host.MemoryReservation),
    ...number('memorySwap', host.MemorySwap),
    ...(host.MemorySwappiness !== null && host.MemorySwappiness >= 0
      ? { memorySwappiness: host.MemorySwappiness }
      : {}),
    ...(host.OomKillDisable ? { oomKillDisable: true } : {}),
    ...number('nanoCpus', host.NanoCpus),
    ...number('cpuShares', host.CpuShares),
    ...number('cpuPeriod', host.CpuPeriod),
    ...number('cpuQuota', host.CpuQuota),
    ...(host.CpusetCpus ? { cpusetCpus: host.CpusetCpus } : {}),
    ...(host.CpusetMems ? { cpusetMems: host.CpusetMems } : {}),
    ...number('pidsLimit', host.PidsLimit),
  };
}

/** Environment of a container's processes: PATH, HOSTNAME and TERM first, then what is configured. */
export function processEnvironment(record: ContainerRecord, tty: boolean): string[] {
  const own = record.config.Env ?? [];
  const has = (key: string): boolean => own.some((variable) => variable.startsWith(`${key}=`));
  return [
    ...(has('PATH') ? [] : [defaultPath]),
    ...(has('HOSTNAME') ? [] : [`HOSTNAME=${record.config.Hostname}`]),
    ...(tty && !has('TERM') ? ['TERM=xterm'] : []),
    ...own.filter((variable) => variable.includes('=')),
  ];
}

function byDepth(a: RuntimeMount, b: RuntimeMount): number {
  return a.destination.split('/').length - b.destination.split('/').length;
}

function namespaces(
  core: EngineCore,
  record: ContainerRecord,
  network: string | undefined,
): { readonly namespaces: ContainerSpec['namespaces']; readonly mounts: readonly RuntimeMount[] } {
  const { PidMode, IpcMode, UTSMode } = record.hostConfig;
  const join = (mode: string, kind: 'pid' | 'ipc'): string | undefined => {
    if (mode === 'host') return 'host';
    const other = sharedContainer(mode);
    return other === undefined ? undefined : sharedNamespace(core, other, kind);
  };
  const pid = join(PidMode, 'pid');
  const ipc = join(IpcMode, 'ipc');
  const shm = sharedMemory(core, record);
  return {
    namespaces: {
      ...(network === undefined ? {} : { network }),
      ...(pid === undefined ? {} : { pid }),
      ...(ipc === undefined ? {} : { ipc }),
      ...(UTSMode === 'host' ? { uts: 'host' } : {}),
    },
    mounts:
      shm === undefined
        ? []
        : [
            {
              type: 'bind',
              source: shm,
              destination: '/dev/shm',
              readOnly: false,
              options: ['rbind', 'rprivate'],
            },
          ],
  };
}

/** Limits of processes as the runtime takes them. */
export function ulimitsOf(host: HostConfig): ContainerSpec['ulimits'] {
  return (host.Ulimits ?? []).map((limit) => ({ name: limit.Name, soft: limit.Soft, hard: limit.Hard }));
}

/** The record as the runtime wants it. @throws VarveError `conflict` for a namespace of a container that is gone. */
export function toContainerSpec(
  core: EngineCore,
  record: ContainerRecord,
  place: { readonly rootfs: string; readonly network: string | undefined },
): ContainerSpec {
  const { config, hostConfig: host } = record;
  const joined = namespaces(core, record, place.network);
  const [rows, columns] = host.ConsoleSize;
  return {
    id: record.id,
    name: record.name,
    rootfs: place.rootfs,
    readOnlyRootfs: host.ReadonlyRootfs,
    args: commandLine(config),
    env: processEnvironment(record, config.Tty),
    workingDir: config.WorkingDir || '/',
    user: config.User ?? '',
    groups: host.GroupAdd ?? [],
    tty: config.Tty,
    openStdin: config.OpenStdin,
    stdinOnce: config.StdinOnce,
    hostname: config.Hostname,
    ...(config.Domainname ? { domainname: config.Domainname } : {}),
    mounts: [
      ...etcMounts(core, record),
      ...joined.mounts,
      ...record.mounts.map((mount) => runtimeMount(core, record, mount)),
    ].sort(byDepth),
    resources: toResources(host),
    privileged: host.Privileged,
    capAdd: host.CapAdd ?? [],
    capDrop: host.CapDrop ?? [],
    securityOpt: host.SecurityOpt ?? [],
    devices: host.Devices.map((device) => ({
      host: device.PathOnHost,
      container: device.PathInContainer || device.PathOnHost,
      permissions: device.CgroupPermissions || 'rwm',
    })),
    sysctls: host.Sysctls ?? {},
    ulimits: ulimitsOf(host),
    ...(host.MaskedPaths ? { maskedPaths: host.MaskedPaths } : {}),
    ...(host.ReadonlyPaths ? { readonlyPaths: host.ReadonlyPaths } : {}),
    shmSize: host.ShmSize,
    init: host.Init ?? false,
    oomScoreAdj: host.OomScoreAdj,
    namespaces: joined.namespaces,
    ...(host.CgroupParent ? { cgroupParent: host.CgroupParent } : {}),
    ...(config.Tty && rows > 0 && columns > 0 ? { terminalSize: { rows, columns } } : {}),
    ...(host.Annotations ? { annotations: host.Annotations } : {}),
  };
}
