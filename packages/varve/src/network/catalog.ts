import { randomId, VarveError } from '../base/index.ts';
import {
  contains,
  formatAddress,
  formatSubnet,
  overlap,
  parseAddress,
  parseSubnet,
  type Subnet,
  sizeOf,
} from './addresses.ts';
import { type AddressPool, chooseSubnet } from './pools.ts';
import type { NetworkRecords } from './records.ts';
import type { BridgeRules } from './ruleset.ts';
import type { Network, NetworkSpec } from './types.ts';

export const optionNames = {
  defaultBridge: 'com.docker.network.bridge.default_bridge',
  icc: 'com.docker.network.bridge.enable_icc',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  hostBinding: 'com.docker.network.bridge.host_binding_ipv4',
  bridgeName: 'com.docker.network.bridge.name',
  mtu: 'com.docker.network.driver.mtu',
} as const;

// As Docker's names of containers and volumes.
const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
// An interface name (dev_valid_name in the kernel), less what would have to be quoted in rules.
const validBridge = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;

export interface CatalogOptions {
  /** Device of the network `bridge`. */
  readonly bridge: string;
  /** Subnet of the network `bridge` or its gateway with a prefix, as dockerd's `--bip`; from the pools when absent. */
  readonly bridgeSubnet?: string;
  readonly pools: readonly AddressPool[];
  /** The host's routes now. */
  readonly routes: () => readonly Subnet[];
}

/** True for the network that containers join when nothing else is said; it has no DNS. */
export function isDefaultBridge(network: Network): boolean {
  return network.options[optionNames.defaultBridge] === 'true';
}

/** What the packet filter needs of a network; undefined for `host` and `none`. */
export function rulesOf(network: Network): BridgeRules | undefined {
  const { bridge, subnet, gateway, internal, options } = network;
  if (network.driver !== 'bridge' || !bridge || !subnet || !gateway) return undefined;
  return {
    bridge,
    subnet,
    gateway,
    internal,
    connected: options[optionNames.icc] !== 'false',
    masquerade: options[optionNames.masquerade] !== 'false',
  };
}

/** The address before the slash, unless it is the subnet's own. */
function gatewayOf(subnet: string): { gateway?: string } {
  const [address = ''] = subnet.split('/');
  return parseAddress(address) === parseSubnet(subnet).base ? {} : { gateway: address };
}

function invalid(code: string, message: string): VarveError {
  return new VarveError('invalid', code, message);
}

function checkAddresses(spec: NetworkSpec, subnet: Subnet): { gateway: string; ipRange?: string } {
  if (subnet.prefixLength > 30) {
    throw invalid('SUBNET_TOO_SMALL', `invalid subnet ${formatSubnet(subnet)} : no room for a container`);
  }
  const inside = (address: number | undefined): boolean =>
    address !== undefined &&
    contains(subnet, address) &&
    address !== subnet.base &&
    address !== subnet.base + sizeOf(subnet) - 1;
  const gateway = spec.gateway ?? formatAddress(subnet.base + 1);
  if (!inside(parseAddress(gateway))) {
    throw invalid(
      'INVALID_GATEWAY',
      `invalid gateway ${gateway}: not an address in subnet ${formatSubnet(subnet)}`,
    );
  }
  if (spec.ipRange === undefined) return { gateway };
  const range = parseSubnet(spec.ipRange);
  if (!contains(subnet, range.base) || sizeOf(range) > sizeOf(subnet)) {
    throw invalid(
      'INVALID_IP_RANGE',
      `invalid ip-range ${spec.ipRange}: not inside subnet ${formatSubnet(subnet)}`,
    );
  }
  return { gateway, ipRange: formatSubnet(range) };
}

/** The networks there are: three that always exist, and the user's. Records only; devices are the manager's. */
export class Catalog {
  readonly #records: NetworkRecords;
  readonly #options: CatalogOptions;

  constructor(records: NetworkRecords, options: CatalogOptions) {
    this.#records = records;
    this.#options = options;
    this.#addPredefined();
  }

  list(): Network[] {
    return this.#records.networks();
  }

  /**
   * By name, id, or the beginning of an id; in this order.
   * @throws VarveError `not-found`, or `invalid` when several ids begin so.
   */
  get(reference: string): Network {
    const exact = this.#records.networkNamed(reference) ?? this.#records.network(reference);
    if (exact) return exact;
    const found =
      reference === '' ? [] : this.#records.networks().filter((network) => network.id.startsWith(reference));
    if (found.length > 1) {
      throw invalid(
        'AMBIGUOUS_NETWORK',
        `network ${reference} is ambiguous (${found.length} matches found based on ID prefix)`,
      );
    }
    const [network] = found;
    if (!network) {
      throw new VarveError('not-found', 'NO_SUCH_NETWORK', `network ${reference} not found`, {
        subject: reference,
      });
    }
    return network;
  }

  /** @throws VarveError `conflict` for a name in use, `invalid` for bad addresses, `exhausted` without a free subnet. */
  create(spec: NetworkSpec): Network {
    const { name } = spec;
    if (!validName.test(name) || name.length > 255) {
      throw invalid(
        'INVALID_NETWORK_NAME',
        `invalid network name: ${name === '' ? 'name is empty' : `${name}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`}`,
      );
    }
    if (name === 'default' || name === 'container') {
      throw new VarveError(
        'forbidden',
        'PREDEFINED_NETWORK',
        `operation is not permitted on predefined ${name} network`,
      );
    }
    if (this.#records.networkNamed(name)) {
      throw new VarveError('conflict', 'NETWORK_EXISTS', `network with name ${name} already exists`, {
        subject: name,
      });
    }
    const driver = spec.driver ?? 'bridge';
    if (driver !== 'bridge') {
      throw new VarveError(
        driver === 'host' || driver === 'null' ? 'forbidden' : 'not-found',
        'NO_SUCH_NETWORK_DRIVER',
        driver === 'host' || driver === 'null'
          ? `only one instance of "${driver}" network is allowed`
          : `could not find plugin ${driver} in v1 plugin registry: plugin not found`,
      );
    }
    const id = randomId();
    return this.#add(id, spec, `br-${id.slice(0, 12)}`);
  }

  /** @throws VarveError `forbidden` for a predefined network or one in use. */
  remove(reference: string): Network {
    const network = this.get(reference);
    if (network.driver !== 'bridge' || isDefaultBridge(network)) {
      throw new VarveError(
        'forbidden',
        'PREDEFINED_NETWORK',
        `${network.name} is a pre-defined network and cannot be removed`,
      );
    }
    const active = this.#records.endpointsOfNetwork(network.id);
    if (active.length > 0) {
      const list = active.map(
        (endpoint) => `name:"${endpoint.names[0] ?? ''}" id:"${endpoint.id.slice(0, 12)}"`,
      );
      throw new VarveError(
        'forbidden',
        'NETWORK_IN_USE',
        `error while removing network: network ${network.name} has active endpoints (${list.join(', ')})`,
      );
    }
    this.#records.removeNetwork(network.id);
    return network;
  }

  #add(id: string, spec: NetworkSpec, device: string): Network {
    const networks = this.#records.networks();
    const bridge = spec.options?.[optionNames.bridgeName] ?? device;
    if (!validBridge.test(bridge) || networks.some((network) => network.bridge === bridge)) {
      throw invalid('INVALID_BRIDGE_NAME', `invalid or used bridge name "${bridge}"`);
    }
    const mtu = spec.options?.[optionNames.mtu];
    if (mtu !== undefined && !/^\d{1,5}$/.test(mtu)) {
      throw invalid('INVALID_OPTION', `invalid value "${mtu}" for option ${optionNames.mtu}`);
    }
    const used = networks.flatMap((network) =>
      network.subnet === undefined ? [] : [parseSubnet(network.subnet)],
    );
    const asked = spec.subnet === undefined ? undefined : parseSubnet(spec.subnet);
    if (asked && used.some((other) => overlap(asked, other))) {
      throw new VarveError(
        'forbidden',
        'SUBNET_OVERLAPS',
        'invalid pool request: Pool overlaps with other one on this address space',
        { subject: spec.subnet ?? '' },
      );
    }
    const subnet = asked ?? chooseSubnet(this.#options.pools, [...used, ...this.#options.routes()]);
    const network: Network = {
      id,
      name: spec.name,
      driver: 'bridge',
      internal: spec.internal ?? false,
      attachable: spec.attachable ?? false,
      enableIPv6: false,
      subnet: formatSubnet(subnet),
      ...checkAddresses(spec, subnet),
      bridge,
      options: spec.options ?? {},
      labels: spec.labels ?? {},
      createdAt: new Date().toISOString(),
    };
    this.#records.addNetwork(network);
    return network;
  }

  #addPredefined(): void {
    for (const [name, driver] of [
      ['host', 'host'],
      ['none', 'null'],
    ] as const) {
      if (this.#records.networkNamed(name)) continue;
      this.#records.addNetwork({
        id: randomId(),
        name,
        driver,
        internal: false,
        attachable: false,
        enableIPv6: false,
        options: {},
        labels: {},
        createdAt: new Date().toISOString(),
      });
    }
    if (this.#records.networkNamed('bridge')) return;
    const subnet = this.#options.bridgeSubnet;
    this.#add(
      randomId(),
      {
        name: 'bridge',
        ...(subnet === undefined ? {} : { subnet, ...gatewayOf(subnet) }),
        options: {
          [optionNames.defaultBridge]: 'true',
          [optionNames.icc]: 'true',
          [optionNames.masquerade]: 'true',
          [optionNames.hostBinding]: '0.0.0.0',
          [optionNames.bridgeName]: this.#options.bridge,
          [optionNames.mtu]: '1500',
        },
      },
      this.#options.bridge,
    );
  }
}
