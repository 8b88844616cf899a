import type { Engine } from '../../engine/index.ts';
import type { Network } from '../../network/index.ts';

/** A network as lists show it; `GET /networks/{id}` has the containers as well. */
export function networkView(
  engine: Engine,
  network: Network,
  options: { readonly containers: boolean },
): Record<string, unknown> {
  const config = network.subnet
    ? [
        {
          Subnet: network.subnet,
          ...(network.ipRange ? { IPRange: network.ipRange } : {}),
          ...(network.gateway ? { Gateway: network.gateway } : {}),
        },
      ]
    : network.driver === 'bridge'
      ? []
      : null;
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: network.enableIPv6,
    IPAM: {
      Driver: 'default',
      Options: network.driver === 'bridge' && network.name !== 'bridge' ? {} : null,
      Config: config,
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: options.containers ? endpoints(engine, network) : {},
    Options: network.options,
    Labels: network.labels,
  };
}

function endpoints(engine: Engine, network: Network): Record<string, unknown> {
  return Object.fromEntries(
    engine.core.containers
      .list()
      .filter((container) => container.running)
      .flatMap((container) => {
        const settings = container.record.networks[network.name];
        if (!settings) return [];
        const address = settings.IPAddress === '' ? '' : `${settings.IPAddress}/${settings.IPPrefixLen}`;
        const view = {
          Name: container.name,
          EndpointID: settings.EndpointID,
          MacAddress: settings.MacAddress,
          IPv4Address: address,
          IPv6Address: '',
        };
        return [[container.id, view]];
      }),
  );
}
