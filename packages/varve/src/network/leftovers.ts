import { isNamespaceFile, type Links } from '../linux/index.ts';
import type { Namespaces } from './namespaces.ts';
import type { EndpointRecord, NetworkRecords } from './records.ts';
import type { Network } from './types.ts';
import type { Zones } from './zones.ts';

/** Something on the host that a container left which does not run; `name` is an endpoint's or container's id, or a device. */
export interface Leftover {
  readonly kind: 'endpoint' | 'device' | 'namespace';
  readonly name: string;
}

export interface LeftoverPlaces {
  readonly records: NetworkRecords;
  readonly namespaces: Namespaces;
  readonly zones: Zones;
  /** What the names of this engine's devices begin with. */
  readonly devicePrefix: string;
  networks(): readonly Network[];
  links(): Links;
}

/** Finds and clears what containers left on the host that ended while no daemon watched. */
export class Leftovers {
  readonly #places: LeftoverPlaces;

  constructor(places: LeftoverPlaces) {
    this.#places = places;
  }

  /** Endpoints, devices and namespaces of containers that are not `alive`. */
  list(alive: ReadonlySet<string>): readonly Leftover[] {
    const dead = this.#places.records.endpoints().filter(({ containerId }) => !alive.has(containerId));
    return [
      ...dead.map(({ id }) => ({ kind: 'endpoint' as const, name: id })),
      ...this.#orphanDevices().map((name) => ({ kind: 'device' as const, name })),
      ...this.#deadNamespaces(alive).map((name) => ({ kind: 'namespace' as const, name })),
    ];
  }

  /** Clears the endpoints of containers that are not `alive`, or whose namespace is gone. Says which. */
  async clearEndpoints(alive: ReadonlySet<string>): Promise<string[]> {
    const { records, zones } = this.#places;
    const said: string[] = [];
    for (const endpoint of records.endpoints()) {
      if (alive.has(endpoint.containerId) && !hasLostNamespace(endpoint)) continue;
      if (endpoint.device !== '') await this.#places.links().delete(endpoint.device);
      records.removeEndpoint(endpoint.id);
      zones.remove(endpoint);
      said.push(
        `removed endpoint ${endpoint.id.slice(0, 12)} of container ${endpoint.containerId.slice(0, 12)}`,
      );
    }
    return said;
  }

  /** Clears devices that no record names and namespaces of containers that are not `alive`. Says which. */
  async clearOrphans(alive: ReadonlySet<string>): Promise<string[]> {
    const said: string[] = [];
    for (const name of this.#orphanDevices()) {
      await this.#places.links().delete(name);
      said.push(`removed device ${name}`);
    }
    for (const id of this.#deadNamespaces(alive)) {
      this.#places.namespaces.remove(id);
      said.push(`removed network namespace ${id.slice(0, 12)}`);
    }
    return said;
  }

  #deadNamespaces(alive: ReadonlySet<string>): string[] {
    return this.#places.namespaces.list().filter((id) => !alive.has(id));
  }

  /** Ours by name, on a bridge of ours, and no endpoint's. */
  #orphanDevices(): string[] {
    const { records, devicePrefix } = this.#places;
    const bridges = new Set(this.#places.networks().map(({ bridge }) => bridge));
    const links = this.#places.links().list();
    const ours = new Set(links.filter(({ name }) => bridges.has(name)).map(({ index }) => index));
    const known = new Set(records.endpoints().map(({ device }) => device));
    return links
      .filter(({ name, master }) => name.startsWith(devicePrefix) && ours.has(master) && !known.has(name))
      .map(({ name }) => name);
  }
}

function hasLostNamespace({ device, namespacePath }: EndpointRecord): boolean {
  return device !== '' && !isNamespaceFile(namespacePath);
}
