import { isKind, VarveError } from '../base/index.ts';
import type { Endpoint, Network } from '../network/index.ts';
import type { EngineCore } from './core.ts';
import { checkMacAddress } from './settings.ts';
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
  if (own.MacAddress) checkMacAddress(own.MacAddress);
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

function find(core: EngineCore, nameOrId: string): Network | undefined {
  try {
    return core.networks.inspect(nameOrId);
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined;
    throw error;
  }
}

/**
 * The networks of a new container by name: that of its mode first, then the others it was asked to join. One that does
 * not exist is no error before the start, as in Docker.
 * @throws VarveError `invalid` for a mix that cannot be.
 */
export function requestedNetworks(
  core: EngineCore,
  mode: string,
  endpoints: Readonly<Record<string, Partial<EndpointSettings> | null>>,
  config: ContainerSettings,
): Record<string, EndpointSettings> {
  if (sharedContainer(mode) !== undefined || config.NetworkDisabled) return {};
  const asked = new Map<string, Partial<EndpointSettings> | null>();
  const main = find(core, mode);
  asked.set(main?.name ?? mode, config.MacAddress ? { MacAddress: config.MacAddress } : null);
  for (const [key, settings] of Object.entries(endpoints)) {
    const wanted = key === 'default' ? 'bridge' : key;
    const name = find(core, wanted)?.name ?? wanted;
    asked.set(name, { ...asked.get(name), ...settings });
  }
  if (asked.size > 1 && main !== undefined && main.driver !== 'bridge') {
    throw new VarveError(
      'invalid',
      'CONFLICTING_NETWORKS',
      'conflicting options: cannot attach both user-defined and non-user-defined network-modes',
    );
  }
  return Object.fromEntries(
    [...asked].map(([name, settings]) => [name, requestedEndpoint(settings, find(core, name)?.id ?? '')]),
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
