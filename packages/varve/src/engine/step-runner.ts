import { rmSync } from 'node:fs';
import { randomId, VarveError } from '../base/index.ts';
import type { StepRunner } from '../builder/index.ts';
import type { ContainerSpec, RuntimeMount } from '../runtime/index.ts';
import { sharedNamespace } from './container-network.ts';
import type { EngineCore } from './core.ts';
import { etcMounts, writeEtcFiles } from './etc-files.ts';
import { containerFolder } from './folders.ts';
import { completeHostConfig } from './host-config.ts';
import { requestedEndpoint, sharedContainer } from './network-settings.ts';
import { toResources } from './runtime-spec.ts';
import { defaultPath } from './settings.ts';
import { now } from './time.ts';
import { type ContainerRecord, type HostConfig, neverStarted } from './types.ts';

type Step = Parameters<StepRunner['run']>[0];

/** The step as a container's record: never stored, it only feeds what reads records. */
function stepRecord(core: EngineCore, id: string, step: Step): ContainerRecord {
  const { request } = step;
  const mode = step.networkMode === '' || step.networkMode === 'default' ? 'bridge' : step.networkMode;
  const given: Partial<HostConfig> = {
    NetworkMode: mode,
    ExtraHosts: step.extraHosts,
    ...(request.shmSize ? { ShmSize: request.shmSize } : {}),
    ...(request.memory ? { Memory: request.memory } : {}),
    ...(request.memorySwap ? { MemorySwap: request.memorySwap } : {}),
    ...(request.cpuShares ? { CpuShares: request.cpuShares } : {}),
    ...(request.cpuPeriod ? { CpuPeriod: request.cpuPeriod } : {}),
    ...(request.cpuQuota ? { CpuQuota: request.cpuQuota } : {}),
    ...(request.cpusetCpus ? { CpusetCpus: request.cpusetCpus } : {}),
    ...(request.cpusetMems ? { CpusetMems: request.cpusetMems } : {}),
  };
  const host = completeHostConfig(given);
  const shared = sharedContainer(mode);
  const network = shared === undefined ? core.networks.inspect(mode) : undefined;
  return {
    id,
    name: id.slice(0, 12),
    createdAt: now(),
    generation: 0,
    imageId: '' as ContainerRecord['imageId'],
    platform: 'linux',
    config: {
      Image: '',
      Hostname: id.slice(0, 12),
      Domainname: '',
      AttachStdin: false,
      AttachStdout: true,
      AttachStderr: true,
      Tty: false,
      OpenStdin: false,
      StdinOnce: false,
      Env: step.env,
      Cmd: step.args,
      User: step.user,
      WorkingDir: step.workingDir,
    },
    hostConfig: host,
    mounts: [],
    networks: network ? { [network.name]: requestedEndpoint(null, network.id) } : {},
    ports: {},
    state: neverStarted,
    restartCount: 0,
    manuallyStopped: false,
    bootId: core.bootId,
  };
}

function stepSpec(
  core: EngineCore,
  record: ContainerRecord,
  step: Step,
  network: string | undefined,
): ContainerSpec {
  const { hostConfig: host } = record;
  const has = (key: string): boolean => step.env.some((variable) => variable.startsWith(`${key}=`));
  const own = new Set(step.mounts.map((mount) => mount.destination));
  const etc: RuntimeMount[] = etcMounts(core, record).filter((mount) => !own.has(mount.destination));
  return {
    id: record.id,
    name: record.name,
    rootfs: step.rootfs,
    readOnlyRootfs: false,
    args: step.args,
    env: [...(has('PATH') ? [] : [defaultPath]), ...step.env],
    workingDir: step.workingDir || '/',
    user: step.user,
    groups: [],
    tty: false,
    openStdin: false,
    stdinOnce: false,
    hostname: record.config.Hostname,
    mounts: [...etc, ...step.mounts],
    resources: toResources(host),
    privileged: false,
    capAdd: [],
    capDrop: [],
    securityOpt: [],
    devices: [],
    sysctls: {},
    ulimits: step.request.ulimits ?? [],
    ...(host.MaskedPaths ? { maskedPaths: host.MaskedPaths } : {}),
    ...(host.ReadonlyPaths ? { readonlyPaths: host.ReadonlyPaths } : {}),
    shmSize: host.ShmSize,
    init: false,
    oomScoreAdj: 0,
    namespaces: network === undefined ? {} : { network },
  };
}

/**
 * Runs RUN steps straight on the runtime: no record, no events, no log. A step that an engine's death leaves behind
 * is swept away when the next one starts, as a container without a record.
 */
export class EngineStepRunner implements StepRunner {
  readonly #core: () => EngineCore;

  constructor(core: () => EngineCore) {
    this.#core = core;
  }

  async run(step: Step): Promise<number> {
    const core = this.#core();
    const id = randomId();
    const record = stepRecord(core, id, step);
    const kill = (): void => void core.runtime.kill(id, 9).catch(() => undefined);
    step.signal?.addEventListener('abort', kill, { once: true });
    try {
      return await this.#runRecorded(core, record, step);
    } finally {
      step.signal?.removeEventListener('abort', kill);
      await core.runtime.delete(id);
      await core.networks.detachAll(id);
      await core.networks.removeNamespace(id);
      rmSync(containerFolder(core, id), { recursive: true, force: true });
    }
  }

  async #runRecorded(core: EngineCore, record: ContainerRecord, step: Step): Promise<number> {
    const { id } = record;
    const cancelled = (): VarveError => new VarveError('cancelled', 'CANCELLED', 'the build was cancelled');
    writeEtcFiles(core, record);
    const { network, attached } = this.#network(core, record);
    attached.catch(() => undefined);
    await core.runtime.create(stepSpec(core, record, step, network));
    await attached;
    if (step.signal?.aborted) throw cancelled();
    const streams = await core.runtime.attach(id);
    const exited = core.runtime.wait(id);
    exited.catch(() => undefined);
    await core.runtime.start(id);
    for await (const { stream, data } of streams.output) step.onOutput(stream, data);
    const exit = await exited;
    if (step.signal?.aborted) throw cancelled();
    return exit.exitCode;
  }

  #network(
    core: EngineCore,
    record: ContainerRecord,
  ): { readonly network: string | undefined; readonly attached: Promise<unknown> } {
    const shared = sharedContainer(record.hostConfig.NetworkMode);
    const none = Promise.resolve();
    if (shared !== undefined) return { network: sharedNamespace(core, shared, 'net'), attached: none };
    const network = core.networks.inspect(record.hostConfig.NetworkMode);
    if (network.driver === 'host') return { network: 'host', attached: none };
    if (network.driver === 'null') return { network: undefined, attached: none };
    const namespacePath = core.networks.createNamespace(record.id);
    return {
      network: namespacePath,
      attached: core.networks.attach(network.id, {
        containerId: record.id,
        namespacePath,
        interfaceName: 'eth0',
        names: [],
        ports: [],
      }),
    };
  }
}
