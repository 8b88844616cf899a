import { VarveError } from '../base/index.ts';
import type { Endpoint } from '../network/index.ts';
import type { EngineCore } from './core.ts';
import type { ContainerSettings, EndpointSettings } from './types.ts';

const unattached: EndpointSettings = {
  IPAMConfig: null,
  Links: null,
  Aliases: null,
  DriverOpts: null,
  NetworkID: '',
  EndpointID: '',
  Gateway: '',
  IPAddress: '',
  IPPrefixLen: 0,
  MacAddress: '',
  DNSNames: null,
};

/** What a request says of a network, with nothing attached yet. */
export function requestedEndpoint(
  request: Partial<EndpointSettings> | null | undefined,
  networkId: string,
): EndpointSettings {
  const own = Object.fromEntries(
    Object.entries(request ?? {}).filter(([, value]) => value !== undefined && value !== null),
  ) as Partial<EndpointSettings>;
  return {
    ...unattached,
    NetworkID: networkId,
    ...(own.IPAMConfig ? { IPAMConfig: own.IPAMConfig } : {}),
    ...(own.Links ? { Links: own.Links } : {}),
    ...(own.Aliases ? { Aliases: own.Aliases } : {}),
    ...(own.DriverOpts ? { DriverOpts: own.DriverOpts } : {}),
    ...(own.MacAddress ? { MacAddress: own.MacAddress } : {}),
  };
}

/** The network mode shares another container's namespace; gives that container's name or id. */
export function sharedContainer(mode: string): string | undefined {
  return mode.startsWith('container:') ? mode.slice('container:'.length) : undefined;
}

/**
 * The networks of a new container by name: that of its mode first, then the others it was asked to join.
 * @throws VarveError `not-found` for a network that does not exist, `invalid` for a mix that cannot be.
 */
export function requestedNetworks(
  core: EngineCore,
  mode: string,
  endpoints: Readonly<Record<string, Partial<EndpointSettings> | null>>,
  config: ContainerSettings,
): Record<string, EndpointSettings> {
  const shared = sharedContainer(mode);
  if (shared !== undefined) {
    core.containers.resolve(shared);
    return {};
  }
  if (config.NetworkDisabled) return {};
  const main = core.networks.inspect(mode);
  const asked = new Map<string, Partial<EndpointSettings> | null>();
  asked.set(main.name, config.MacAddress ? { MacAddress: config.MacAddress } : null);
  for (const [key, settings] of Object.entries(endpoints)) {
    const network = core.networks.inspect(key === 'default' ? 'bridge' : key);
    asked.set(network.name, { ...asked.get(network.name), ...settings });
  }
  if (asked.size > 1 && main.driver !== 'bridge') {
    throw new VarveError(
      'invalid',
      'CONFLICTING_NETWORKS',
      `conflicting options: cannot attach both user-defined and non-user-defined network-modes`,
    );
  }
  return Object.fromEntries(
    [...asked].map(([name, settings]) => [name, requestedEndpoint(settings, core.networks.inspect(name).id)]),
  );
}

/** Settings with what the network gave. */
export function attachedEndpoint(
  settings: EndpointSettings,
  endpoint: Endpoint,
  userNetwork: boolean,
): EndpointSettings {
  return {
    ...settings,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.id,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.address,
    IPPrefixLen: endpoint.prefixLength,
    MacAddress: endpoint.macAddress,
    DNSNames: userNetwork ? [...endpoint.names] : null,
  };
}

/** Settings of a container that no longer runs: the request stays, the addresses go. */
export function detachedEndpoint(settings: EndpointSettings): EndpointSettings {
  return {
    ...settings,
    EndpointID: '',
    Gateway: '',
    IPAddress: '',
    IPPrefixLen: 0,
    MacAddress: '',
  };
}
