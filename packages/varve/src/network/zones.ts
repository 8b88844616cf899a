import type { Endpoint } from './types.ts';

type Named = Pick<Endpoint, 'id' | 'networkId' | 'address' | 'names'>;

/** Names of the containers on each network, in memory: asked for every DNS query. */
export class Zones {
  readonly #networks = new Map<string, Map<string, Named>>();

  add(endpoint: Named): void {
    let zone = this.#networks.get(endpoint.networkId);
    if (!zone) {
      zone = new Map();
      this.#networks.set(endpoint.networkId, zone);
    }
    zone.set(endpoint.id, { ...endpoint, names: endpoint.names.map((name) => name.toLowerCase()) });
  }

  remove(endpoint: Pick<Endpoint, 'id' | 'networkId'>): void {
    const zone = this.#networks.get(endpoint.networkId);
    zone?.delete(endpoint.id);
    if (zone?.size === 0) this.#networks.delete(endpoint.networkId);
  }

  /** Addresses that carry this name (lower case) on the network; several containers may share an alias. */
  addresses(networkId: string, name: string): string[] {
    const found: string[] = [];
    for (const { names, address } of this.#networks.get(networkId)?.values() ?? []) {
      if (address !== '' && names.includes(name)) found.push(address);
    }
    return found;
  }

  nameOf(networkId: string, address: string): string | undefined {
    for (const endpoint of this.#networks.get(networkId)?.values() ?? []) {
      if (endpoint.address === address) return endpoint.names[0];
    }
    return undefined;
  }
}
