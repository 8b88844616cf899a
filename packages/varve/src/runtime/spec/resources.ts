import type { Resources } from '../types.ts';
import type { OciResources } from './oci-spec.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function memory(resources: Resources, swapAccounting: boolean): OciResources['memory'] {
  const out: Writable<NonNullable<OciResources['memory']>> = {};
  const limit = resources.memory ?? 0;
  if (limit !== 0) out.limit = limit;
  if (resources.memoryReservation) out.reservation = resources.memoryReservation;
  if (swapAccounting) {
    // Docker: no swap limit with a memory limit means as much swap again as memory.
    const swap = resources.memorySwap ?? 0;
    if (swap !== 0) out.swap = swap;
    else if (limit > 0) out.swap = limit * 2;
  }
  if (resources.memorySwappiness !== undefined && resources.memorySwappiness >= 0) {
    out.swappiness = resources.memorySwappiness;
  }
  if (resources.oomKillDisable) out.disableOOMKiller = true;
  return Object.keys(out).length === 0 ? undefined : out;
}

const DEFAULT_PERIOD_US = 100_000;

function cpu(resources: Resources): OciResources['cpu'] {
  const out: Writable<NonNullable<OciResources['cpu']>> = {};
  if (resources.cpuShares) out.shares = resources.cpuShares;
  if (resources.nanoCpus) {
    out.period = DEFAULT_PERIOD_US;
    out.quota = Math.floor((resources.nanoCpus * DEFAULT_PERIOD_US) / 1e9);
  }
  if (resources.cpuPeriod) out.period = resources.cpuPeriod;
  if (resources.cpuQuota) out.quota = resources.cpuQuota;
  if (resources.cpusetCpus) out.cpus = resources.cpusetCpus;
  if (resources.cpusetMems) out.mems = resources.cpusetMems;
  return Object.keys(out).length === 0 ? undefined : out;
}

/**
 * Docker's limits as OCI resources. The OCI fields are those of cgroup v1; the runtimes convert them for v2 (shares to
 * weight, memory+swap to swap). Zero means unset, as in Docker; -1 for swap and pids means no limit.
 */
export function buildResources(
  resources: Resources,
  options: { readonly swapAccounting: boolean },
): OciResources {
  const memoryPart = memory(resources, options.swapAccounting);
  const cpuPart = cpu(resources);
  const pids = resources.pidsLimit ?? 0;
  return {
    ...(memoryPart === undefined ? {} : { memory: memoryPart }),
    ...(cpuPart === undefined ? {} : { cpu: cpuPart }),
    ...(pids > 0 ? { pids: { limit: pids } } : {}),
  };
}
