import { isDefaultBridge } from './catalog.ts';
import { parseResolvConf } from './container-files.ts';
import type { DnsView } from './dns-server.ts';
import type { NetworkRecords } from './records.ts';
import { readText, resolvConfPath } from './resolv-conf.ts';
import type { Network } from './types.ts';
import type { Zones } from './zones.ts';

/** True for networks whose containers have the embedded resolver: the user's, as in Docker. */
export function hasDns(network: Network): boolean {
  return network.driver === 'bridge' && !isDefaultBridge(network);
}

/** What a container resolves: names on its own networks as they are at each query, and the host's servers for the rest. */
export function dnsViewOf(records: NetworkRecords, zones: Zones, containerId: string): DnsView {
  const networks = (): Network[] =>
    records
      .endpointsOfContainer(containerId)
      .map(({ networkId }) => records.network(networkId))
      .filter((network) => network !== undefined);
  return {
    addresses: (name) =>
      networks()
        .filter(hasDns)
        .flatMap((network) => {
          const found = zones.addresses(network.id, name);
          const suffix = `.${network.name.toLowerCase()}`;
          if (found.length > 0 || !name.endsWith(suffix)) return found;
          return zones.addresses(network.id, name.slice(0, -suffix.length));
        }),
    nameOf: (address) => {
      for (const network of networks().filter(hasDns)) {
        const name = zones.nameOf(network.id, address);
        if (name !== undefined) return `${name}.${network.name}`;
      }
      return undefined;
    },
    upstream: () => {
      if (networks().every(({ internal }) => internal)) return [];
      const own = records.endpointsOfContainer(containerId).flatMap(({ dns }) => dns);
      return own.length > 0 ? own : parseResolvConf(readText(resolvConfPath)).servers;
    },
  };
}
