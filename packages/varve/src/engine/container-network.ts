import { shortId, VarveError } from '../base/index.ts';
import type { Endpoint, Network, PortBinding } from '../network/index.ts';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';
import { attachedEndpoint, detachedEndpoint, sharedContainer } from './network-settings.ts';
import { portMap, type WantedPort, wantedPorts } from './ports.ts';
import type { ContainerRecord, EndpointSettings } from './types.ts';

/** A container's network on its way: the namespace exists at once, addresses follow. */
export interface NetworkPlan {
  /** Namespace file to join, `host`, or undefined for a new one of its own. */
  readonly namespace: string | undefined;
  /** Settles when all interfaces are up; the changes belong into the record. */
  readonly attached: Promise<Pick<ContainerRecord, 'networks' | 'ports'>>;
}

/** Names by which others of a user network reach the container. */
export function endpointNames(record: ContainerRecord, settings: EndpointSettings): string[] {
  const { Hostname } = record.config;
  return [...new Set([record.name, ...(settings.Aliases ?? []), shortId(record.id), Hostname])];
}

/** @throws VarveError `conflict` when the other container does not run. */
export function sharedNamespace(core: EngineCore, name: string, kind: 'net' | 'pid' | 'ipc'): string {
  const other = core.containers.resolve(name);
  if (!other.running) {
    throw new VarveError(
      'conflict',
      'CONTAINER_NOT_RUNNING',
      `cannot join namespace of a non running container: container ${other.id} is not running`,
      { subject: name },
    );
  }
  return `/proc/${other.state.pid}/ns/${kind}`;
}

/** Tries each host port in turn; a fixed one is tried once. */
async function attachWithPorts(
  core: EngineCore,
  networkId: string,
  request: Omit<Parameters<EngineCore['networks']['attach']>[1], 'ports'>,
  wanted: readonly WantedPort[],
): Promise<Endpoint> {
  const tries = Math.max(1, ...wanted.map((port) => port.hostPorts.length));
  for (let attempt = 0; ; attempt++) {
    const ports = wanted
      .filter((port) => port.protocol !== 'sctp')
      .map(
        (port): PortBinding => ({
          protocol: port.protocol as 'tcp' | 'udp',
          containerPort: port.port,
          hostAddress: port.hostAddress,
          hostPort: port.hostPorts[attempt % port.hostPorts.length] as number,
        }),
      );
    try {
      return await core.networks.attach(networkId, { ...request, ports });
    } catch (error) {
      if (attempt + 1 >= tries) throw error;
    }
  }
}

/** Joins one network and tells about it. @throws VarveError what the network throws. */
export async function joinNetwork(
  core: EngineCore,
  container: Container,
  network: Network,
  settings: EndpointSettings,
  place: { readonly namespacePath: string; readonly index: number; readonly ports: readonly WantedPort[] },
): Promise<{ readonly settings: EndpointSettings; readonly ports: readonly PortBinding[] }> {
  const userNetwork = network.name !== 'bridge';
  const own = container.record.hostConfig.Dns;
  const dns = own.length > 0 ? own : core.config.dns;
  const address = settings.IPAMConfig?.IPv4Address;
  const endpoint = await attachWithPorts(
    core,
    network.id,
    {
      containerId: container.id,
      namespacePath: place.namespacePath,
      interfaceName: `eth${place.index}`,
      names: endpointNames(container.record, settings),
      ...(address ? { address } : {}),
      ...(settings.MacAddress ? { macAddress: settings.MacAddress } : {}),
      ...(dns.length > 0 ? { dns } : {}),
    },
    place.ports,
  );
  return { settings: attachedEndpoint(settings, endpoint, userNetwork), ports: endpoint.ports };
}

/**
 * Begins to connect a container: the runtime can be started as soon as this returns, user code only after `attached`.
 * @throws VarveError `not-found`, `conflict`.
 */
export function connectNetworks(core: EngineCore, container: Container): NetworkPlan {
  const { record } = container;
  const mode = record.hostConfig.NetworkMode;
  const shared = sharedContainer(mode);
  const same = (): Pick<ContainerRecord, 'networks' | 'ports'> => ({ networks: record.networks, ports: {} });
  if (shared !== undefined) {
    return { namespace: sharedNamespace(core, shared, 'net'), attached: Promise.resolve(same()) };
  }
  const networks = Object.entries(record.networks).map(
    ([name, settings]) =>
      ({ name, settings, network: core.networks.inspect(settings.NetworkID || name) }) as const,
  );
  if (networks.some(({ network }) => network.driver === 'host')) {
    return { namespace: 'host', attached: Promise.resolve(same()) };
  }
  const bridges = networks.filter(({ network }) => network.driver === 'bridge');
  if (bridges.length === 0) return { namespace: undefined, attached: Promise.resolve(same()) };
  const namespacePath = core.networks.createNamespace(container.id);
  const attached = (async () => {
    const result: Record<string, EndpointSettings> = { ...record.networks };
    let bound: readonly PortBinding[] = [];
    for (const [index, { name, settings, network }] of bridges.entries()) {
      const ports = index === 0 ? wantedPorts(record.config, record.hostConfig) : [];
      const joined = await joinNetwork(core, container, network, settings, { namespacePath, index, ports });
      result[name] = joined.settings;
      bound = [...bound, ...joined.ports];
    }
    return { networks: result, ports: portMap(record.config, bound) };
  })();
  // Whoever fails before awaiting it must not leave an unhandled rejection.
  attached.catch(() => undefined);
  return { namespace: namespacePath, attached };
}

/** Publishes `connect` or `disconnect` for each network a container is on. */
export function publishNetworkEvents(
  core: EngineCore,
  record: ContainerRecord,
  action: 'connect' | 'disconnect',
): void {
  for (const [name, settings] of Object.entries(record.networks)) {
    const network = core.networks.list().find((candidate) => candidate.id === settings.NetworkID);
    core.events.publish('network', action, settings.NetworkID, {
      container: record.id,
      name,
      type: network?.driver ?? 'bridge',
    });
  }
}

/** Leaves all networks and removes the namespace; what is not there any more is passed over. */
export async function disconnectNetworks(core: EngineCore, container: Container): Promise<void> {
  await core.networks.detachAll(container.id);
  await core.networks.removeNamespace(container.id);
}

/** The record's networks as they are when nothing runs. */
export function detachedNetworks(record: ContainerRecord): Pick<ContainerRecord, 'networks' | 'ports'> {
  return {
    networks: Object.fromEntries(
      Object.entries(record.networks).map(([name, settings]) => [name, detachedEndpoint(settings)]),
    ),
    ports: {},
  };
}
