import { VarveError } from '../base/index.ts';
import type { Network, NetworkSpec } from '../network/index.ts';
import { joinNetwork } from './container-network.ts';
import type { EngineCore } from './core.ts';
import { writeEtcFiles } from './etc-files.ts';
import { checkFilters, labelsMatch } from './filters.ts';
import { requestedEndpoint } from './network-settings.ts';
import { pruneTime } from './prune-time.ts';
import type { EndpointSettings, Filters } from './types.ts';

const predefined = ['bridge', 'host', 'none'];

function attributes(network: Network): Record<string, string> {
  return { name: network.name, type: network.driver };
}

export async function createNetwork(core: EngineCore, request: NetworkSpec): Promise<Network> {
  const network = await core.networks.create(request);
  core.events.publish('network', 'create', network.id, attributes(network));
  return network;
}

/** @throws VarveError `forbidden` for a predefined network or one with running containers. */
export async function removeNetwork(core: EngineCore, nameOrId: string): Promise<void> {
  const network = core.networks.inspect(nameOrId);
  const users = predefined.includes(network.name) ? [] : runningOn(core, network);
  const first = users[0];
  if (first) {
    throw new VarveError(
      'forbidden',
      'NETWORK_IN_USE',
      `error while removing network: network ${network.name} has active endpoints (name:"${first.name}" id:"${first.id.slice(0, 12)}")`,
      { subject: network.name },
    );
  }
  await core.networks.remove(network.id);
  core.events.publish('network', 'destroy', network.id, attributes(network));
}

/** Running containers with an endpoint on a network. */
function runningOn(core: EngineCore, network: Network) {
  return core.containers
    .list()
    .filter((container) => container.running && container.record.networks[network.name] !== undefined);
}

/** `docker network connect`. @throws VarveError `forbidden`, `conflict`, `not-found`. */
export async function connectContainer(
  core: EngineCore,
  networkName: string,
  containerName: string,
  settings: Partial<EndpointSettings> | null = null,
): Promise<void> {
  const network = core.networks.inspect(networkName);
  const container = core.containers.resolve(containerName);
  await core.containers.lock(container, async () => {
    const { record } = container;
    if (record.networks[network.name]) {
      throw new VarveError(
        'forbidden',
        'ALREADY_CONNECTED',
        `endpoint with name ${container.name} already exists in network ${network.name}`,
      );
    }
    if (network.driver !== 'bridge' || record.hostConfig.NetworkMode === 'host') {
      throw new VarveError(
        'forbidden',
        'CONFLICTING_NETWORKS',
        'container cannot be connected to host network or disconnected from it',
      );
    }
    const requested = requestedEndpoint(settings, network.id);
    if (!container.running) {
      core.containers.update(container, { networks: { ...record.networks, [network.name]: requested } });
      return;
    }
    const joined = await joinNetwork(core, container, network, requested, {
      namespacePath: core.networks.namespacePath(container.id),
      index: Object.keys(record.networks).length,
      ports: [],
    });
    core.containers.update(container, { networks: { ...record.networks, [network.name]: joined.settings } });
    writeEtcFiles(core, container.record);
    core.events.publish('network', 'connect', network.id, {
      container: container.id,
      ...attributes(network),
    });
  });
}

/** `docker network disconnect`. @throws VarveError `conflict` when it is not connected. */
export async function disconnectContainer(
  core: EngineCore,
  networkName: string,
  containerName: string,
): Promise<void> {
  const network = core.networks.inspect(networkName);
  const container = core.containers.resolve(containerName);
  await core.containers.lock(container, async () => {
    const { [network.name]: settings, ...others } = container.record.networks;
    if (!settings) {
      throw new VarveError(
        'conflict',
        'NOT_CONNECTED',
        `container ${container.id} is not connected to network ${network.name}`,
      );
    }
    if (settings.EndpointID !== '') await core.networks.detach(network.id, container.id);
    core.containers.update(container, { networks: others });
    if (!container.running) return;
    writeEtcFiles(core, container.record);
    core.events.publish('network', 'disconnect', network.id, {
      container: container.id,
      ...attributes(network),
    });
  });
}

/** Removes user networks that no container names. */
export async function pruneNetworks(core: EngineCore, filters: Filters = {}): Promise<readonly string[]> {
  checkFilters(filters, ['until', 'label', 'label!']);
  const until = pruneTime(filters);
  const used = new Set(core.containers.list().flatMap((container) => Object.keys(container.record.networks)));
  const deleted: string[] = [];
  for (const network of core.networks.list()) {
    if (predefined.includes(network.name) || used.has(network.name)) continue;
    if (until !== undefined && Date.parse(network.createdAt) >= until) continue;
    if (!labelsMatch(filters, network.labels)) continue;
    await removeNetwork(core, network.id);
    deleted.push(network.name);
  }
  core.events.publish('network', 'prune', '', { reclaimed: '0' });
  return deleted;
}
