import { VarveError } from '../base/index.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { checkResources, checkRestartPolicy } from './host-config.ts';
import { toResources } from './runtime-spec.ts';
import type { HostConfig, ResourceSettings, RestartPolicy } from './types.ts';

/** Limits and policy of `docker update`: what is absent or 0 stays as it is. */
export type UpdateRequest = Partial<ResourceSettings> & { readonly RestartPolicy?: Partial<RestartPolicy> };

const resourceKeys: readonly (keyof ResourceSettings)[] = [
  'CpuShares',
  'Memory',
  'NanoCpus',
  'CpuPeriod',
  'CpuQuota',
  'CpusetCpus',
  'CpusetMems',
  'MemoryReservation',
  'MemorySwap',
  'MemorySwappiness',
  'PidsLimit',
];

/** Changes limits and restart policy, of a running container too. @throws VarveError `invalid`, `conflict`. */
export async function updateContainer(
  core: EngineCore,
  nameOrId: string,
  request: UpdateRequest,
): Promise<{ readonly warnings: readonly string[] }> {
  const container = core.containers.resolve(nameOrId);
  await core.containers.lock(container, async () => {
    if (container.removal || container.state.status === 'dead') {
      throw new VarveError(
        'conflict',
        'REMOVING',
        `Cannot update container ${container.id}: Container is marked for removal and cannot be "update".`,
      );
    }
    const host = container.record.hostConfig;
    const given = Object.fromEntries(
      resourceKeys
        .map((key) => [key, request[key]] as const)
        .filter(([, value]) => value !== undefined && value !== null && value !== 0 && value !== ''),
    );
    const policy = request.RestartPolicy;
    if (policy?.Name && host.AutoRemove && policy.Name !== 'no') {
      throw new VarveError(
        'invalid',
        'AUTO_REMOVE',
        'Restart policy cannot be updated because AutoRemove is enabled for the container',
      );
    }
    const updated: HostConfig = {
      ...host,
      ...given,
      ...(policy?.Name
        ? { RestartPolicy: { Name: policy.Name, MaximumRetryCount: policy.MaximumRetryCount ?? 0 } }
        : {}),
    };
    checkRestartPolicy(updated.RestartPolicy);
    checkResources(updated);
    if (container.running && Object.keys(given).length > 0) {
      await core.runtime.update(container.id, toResources(updated));
    }
    core.containers.update(container, { hostConfig: updated });
  });
  publishContainer(core, container, 'update');
  return { warnings: [] };
}
