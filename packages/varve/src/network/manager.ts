import { mkdirSync } from 'node:fs';
import { KeyedLock, randomId, VarveError } from '../base/index.ts';
import { findProgram, isNamespaceFile, Links } from '../linux/index.ts';
import type { State } from '../state/index.ts';
import { macOf, parseSubnet } from './addresses.ts';
import { allocateAddress } from './allocate.ts';
import { ensureBridge, plug, restoreDefaultRoute } from './bridge.ts';
import { Catalog, rulesOf } from './catalog.ts';
import { type ContainerFiles, type ContainerFilesRequest, containerFiles } from './container-files.ts';
import { DnsServer } from './dns-server.ts';
import { dnsViewOf, hasDns } from './dns-view.ts';
import { Firewall, nft } from './firewall.ts';
import { type Leftover, Leftovers } from './leftovers.ts';
import { Namespaces } from './namespaces.ts';
import { type AddressPool, defaultPools, parseRoutes } from './pools.ts';
import { type PortReservation, Ports } from './ports.ts';
import { type EndpointRecord, NetworkRecords } from './records.ts';
import { readText, resolvConfPath } from './resolv-conf.ts';
import type { BridgeRules, Publication } from './ruleset.ts';
import { ownerNote, sweepDeadEngines } from './sweep.ts';
import type { AttachRequest, Endpoint, Network, NetworkSpec } from './types.ts';
import { Zones } from './zones.ts';

export interface NetworkOptions {
  /** Device of the network `bridge`. Default `varve0`. */
  readonly bridge?: string;
  /** Subnet of the network `bridge`. Default: the first free one of the pools. */
  readonly bridgeSubnet?: string;
  readonly pools?: readonly AddressPool[];
}

export interface NetworkDependencies {
  readonly state: State;
  /** Folder that a reboot empties: `/run/varve`. */
  readonly runRoot: string;
  readonly options?: NetworkOptions;
}

const tablePrefix = 'varve_';

function publicationsOf(endpoint: Endpoint): Publication[] {
  return endpoint.ports.map((binding) => ({ binding, address: endpoint.address }));
}

/**
 * The containers' networks. Devices, addresses and rules live in the kernel and go on when the daemon ends; reserved
 * ports and DNS are this process's and come back with {@link NetworkManager.restore}.
 */
export class NetworkManager {
  readonly #records: NetworkRecords;
  readonly #catalog: Catalog;
  readonly #namespaces: Namespaces;
  readonly #firewall: Firewall;
  readonly #leftovers: Leftovers;
  readonly #ports = new Ports();
  readonly #zones = new Zones();
  readonly #reservations = new Map<string, PortReservation>();
  readonly #resolvers = new Map<string, Promise<DnsServer>>();
  readonly #lastAddress = new Map<string, string>();
  readonly #unplugging = new Set<Promise<void>>();
  readonly #lock = new KeyedLock();
  readonly #folder: string;
  readonly #devicePrefix: string;
  readonly #note: string;
  #linksOpened: Links | undefined;
  #deletionsOpened: Links | undefined;

  constructor({ state, runRoot, options = {} }: NetworkDependencies) {
    this.#records = new NetworkRecords(state);
    this.#catalog = new Catalog(this.#records, {
      bridge: options.bridge ?? 'varve0',
      ...(options.bridgeSubnet === undefined ? {} : { bridgeSubnet: options.bridgeSubnet }),
      pools: options.pools ?? defaultPools,
      routes: () => parseRoutes(readText('/proc/net/route')),
    });
    this.#namespaces = new Namespaces(`${runRoot}/netns`);
    // Engines with different roots may share a host: each has its own table and names of devices.
    const tag = this.#catalog.get('bridge').id.slice(0, 4);
    this.#folder = `${runRoot}/network`;
    this.#note = ownerNote(this.#folder);
    this.#devicePrefix = `vv${tag}`;
    this.#firewall = new Firewall({
      table: `${tablePrefix}${tag}`,
      devicePrefix: this.#devicePrefix,
      note: this.#note,
      folder: this.#folder,
    });
    this.#leftovers = new Leftovers({
      records: this.#records,
      namespaces: this.#namespaces,
      zones: this.#zones,
      devicePrefix: this.#devicePrefix,
      networks: () => this.list(),
      links: () => this.#links,
    });
    for (const endpoint of this.#records.endpoints()) this.#zones.add(endpoint);
  }

  /** Whether bridge networks can work here; if not, why, in one line. */
  async probe(): Promise<{ readonly ok: true } | { readonly ok: false; readonly reason: string }> {
    try {
      findProgram('nsenter');
      findProgram('nft');
      await nft('table ip varve_probe\ndelete table ip varve_probe\n');
      return { ok: true };
    } catch (error) {
      const { message, hint } = VarveError.from(error);
      return { ok: false, reason: hint === undefined ? message : `${message} (${hint})` };
    }
  }

  /** All networks, `bridge`, `host` and `none` with them, by name. */
  list(): Network[] {
    return this.#catalog.list();
  }

  /** By name, id or beginning of an id. @throws VarveError `not-found` `network x not found`. */
  inspect(reference: string): Network {
    return this.#catalog.get(reference);
  }

  /** Makes a bridge network; its device comes with its first container. */
  async create(spec: NetworkSpec): Promise<Network> {
    const network = this.#catalog.create(spec);
    if (this.#firewall.armed) await this.#arm();
    return network;
  }

  /** @throws VarveError `forbidden` when it is predefined or in use. */
  async remove(reference: string): Promise<void> {
    const network = this.#catalog.remove(reference);
    this.#lastAddress.delete(network.id);
    if (network.bridge) await this.#links.delete(network.bridge);
    if (this.#firewall.armed) await this.#arm();
  }

  /** Endpoints of the containers on a network. */
  endpoints(reference: string): Endpoint[] {
    return this.#records.endpointsOfNetwork(this.inspect(reference).id).map(toEndpoint);
  }

  /** A container's endpoints, in the order in which they came. */
  endpointsOf(containerId: string): Endpoint[] {
    return this.#records.endpointsOfContainer(containerId).map(toEndpoint);
  }

  /** File of a container's network namespace, whether it is there or not. */
  namespacePath(id: string): string {
    return this.#namespaces.path(id);
  }

  /** Makes a container's network namespace, loopback up, and returns its file. @throws VarveError `conflict` when it exists. */
  createNamespace(id: string): string {
    return this.#namespaces.create(id);
  }

  /** Takes it away, with the container's resolver. Nothing happens when it is not there. */
  async removeNamespace(id: string): Promise<void> {
    await this.#stopResolver(id);
    this.#namespaces.remove(id);
  }

  /**
   * Joins a container to a network: device, address, routes, published ports, DNS; all of it or nothing.
   * For `host` and `none` only the record is made.
   * @throws VarveError `conflict` when a port or address is taken, `forbidden` when it is on the network already.
   */
  async attach(reference: string, request: AttachRequest): Promise<Endpoint> {
    const network = this.inspect(reference);
    if (this.#records.endpointsOfNetwork(network.id).some((one) => one.containerId === request.containerId)) {
      throw new VarveError(
        'forbidden',
        'ALREADY_ATTACHED',
        `endpoint with name ${request.names[0] ?? request.containerId} already exists in network ${network.name}`,
      );
    }
    const planned = this.#plan(network, request);
    // The record comes before the devices: after a crash, restore finds what to clear.
    this.#records.putEndpoint(planned);
    try {
      const endpoint = await this.#connect(network, planned, request);
      this.#zones.add(endpoint);
      return toEndpoint(endpoint);
    } catch (error) {
      await this.#disconnect(planned);
      await this.#unplug(planned);
      throw error;
    }
  }

  /** Takes a container from a network. Nothing happens when it is not on it. */
  async detach(reference: string, containerId: string): Promise<void> {
    const network = this.inspect(reference);
    const endpoint = this.#records
      .endpointsOfContainer(containerId)
      .find(({ networkId }) => networkId === network.id);
    if (!endpoint) return;
    await this.#disconnect(endpoint);
    await this.#unplug(endpoint);
  }

  /**
   * Takes a container that ended from all its networks. Ports and names are free at once; the kernel takes tens of
   * milliseconds to delete a device, which nobody waits for.
   */
  async detachAll(containerId: string): Promise<void> {
    for (;;) {
      const [endpoint] = this.#records.endpointsOfContainer(containerId);
      if (!endpoint) return;
      await this.#disconnect(endpoint);
      // What cannot be deleted now is an orphan for the next restore.
      const gone = this.#unplug(endpoint).catch(() => undefined);
      this.#unplugging.add(gone);
      void gone.then(() => this.#unplugging.delete(gone));
    }
  }

  /** New names on a network, after a rename. */
  setNames(reference: string, containerId: string, names: readonly string[]): void {
    const network = this.inspect(reference);
    for (const endpoint of this.#records.endpointsOfNetwork(network.id)) {
      if (endpoint.containerId !== containerId) continue;
      const renamed = { ...endpoint, names };
      this.#records.putEndpoint(renamed);
      this.#zones.add(renamed);
    }
  }

  /** Which /etc/resolv.conf a container gets: the embedded resolver needs a network of the user's. */
  resolverFor(networks: readonly string[]): 'embedded' | 'host' {
    return networks.some((name) => hasDns(this.inspect(name))) ? 'embedded' : 'host';
  }

  /** Contents of /etc/hosts, /etc/resolv.conf and /etc/hostname; with the host's resolv.conf as it is now. */
  containerFiles(request: Omit<ContainerFilesRequest, 'hostResolvConf'>): ContainerFiles {
    return containerFiles({ ...request, hostResolvConf: readText(resolvConfPath) });
  }

  /** The host as containers reach it (`host-gateway`): the default bridge's address. */
  hostGateway(): string {
    return this.inspect('bridge').gateway ?? '';
  }

  /**
   * After a start of the daemon: takes back the ports and resolvers of the containers that run, clears what was left by
   * those that do not. Says what it cleared or could not do.
   */
  async restore(running: Iterable<string>): Promise<string[]> {
    const alive = new Set(running);
    const said = await this.#leftovers.clearEndpoints(alive);
    const kept = this.#records.endpoints();
    for (const endpoint of kept) {
      try {
        await this.#revive(endpoint);
      } catch (error) {
        said.push(`endpoint ${endpoint.id.slice(0, 12)}: ${VarveError.from(error).message}`);
      }
    }
    if (kept.some(({ device }) => device !== '')) await this.#arm();
    said.push(...(await this.#leftovers.clearOrphans(alive)));
    return said;
  }

  /** What containers that do not run left on the host. {@link NetworkManager.restore} clears it. */
  leftovers(running: Iterable<string>): readonly Leftover[] {
    return this.#leftovers.list(new Set(running));
  }

  /** Clears one of the {@link NetworkManager.leftovers}. */
  async clearLeftover({ kind, name }: { readonly kind: string; readonly name: string }): Promise<void> {
    if (kind === 'device') await this.#links.delete(name);
    if (kind === 'namespace') this.#namespaces.remove(name);
    const endpoint = this.#records.endpoints().find(({ id }) => kind === 'endpoint' && id === name);
    if (endpoint) await this.detachAll(endpoint.containerId);
  }

  /** Ends what lives in this process (ports, resolvers). Containers keep their networks; without any, the host is left as it was. */
  async shutdown(): Promise<void> {
    await Promise.all(this.#unplugging);
    if (this.#firewall.armed && this.#records.endpoints().every(({ device }) => device === '')) {
      await this.teardown();
    }
    await Promise.all([...this.#resolvers.keys()].map((id) => this.#stopResolver(id)));
    await this.#ports.close();
    this.#reservations.clear();
    this.#linksOpened?.[Symbol.dispose]();
    this.#deletionsOpened?.[Symbol.dispose]();
    this.#linksOpened = undefined;
    this.#deletionsOpened = undefined;
  }

  /** Takes all bridges and rules from the host, for an uninstall. @throws VarveError `conflict` while a container is attached. */
  async teardown(): Promise<void> {
    if (this.#records.endpoints().some(({ device }) => device !== '')) {
      throw new VarveError('conflict', 'NETWORKS_IN_USE', 'containers are attached to networks');
    }
    await Promise.all(this.#unplugging);
    const links = this.#links.list();
    for (const { bridge } of this.list()) {
      const link = links.find(({ name }) => name === bridge);
      // Another engine's containers may be on it.
      if (link && !links.some(({ master }) => master === link.index)) await this.#links.delete(link.name);
    }
    await this.#firewall.remove();
  }

  get #links(): Links {
    this.#linksOpened ??= new Links();
    return this.#linksOpened;
  }

  // Requests of one socket wait for each other; a container that comes must not wait for one that goes.
  get #deletions(): Links {
    this.#deletionsOpened ??= new Links();
    return this.#deletionsOpened;
  }

  #plan(network: Network, request: AttachRequest): EndpointRecord {
    const id = randomId();
    const common = {
      id,
      networkId: network.id,
      containerId: request.containerId,
      names: request.names,
      namespacePath: request.namespacePath,
      dns: request.dns ?? [],
      ports: [],
    };
    if (network.driver !== 'bridge') {
      return {
        ...common,
        interfaceName: '',
        address: '',
        prefixLength: 0,
        gateway: '',
        macAddress: '',
        device: '',
      };
    }
    const address = allocateAddress(
      network,
      (candidate) => this.#records.addressTaken(network.id, candidate),
      request.address,
      this.#lastAddress.get(network.id),
    );
    if (request.address === undefined) this.#lastAddress.set(network.id, address);
    return {
      ...common,
      interfaceName: request.interfaceName,
      address,
      prefixLength: parseSubnet(network.subnet ?? '').prefixLength,
      gateway: network.internal ? '' : (network.gateway ?? ''),
      macAddress: request.macAddress ?? macOf(address),
      device: `${this.#devicePrefix}${id.slice(0, 9)}`,
    };
  }

  async #connect(network: Network, planned: EndpointRecord, request: AttachRequest): Promise<EndpointRecord> {
    if (planned.device === '') return planned;
    // Docker publishes nothing on an internal network.
    const wanted = network.internal ? [] : request.ports;
    const owner = { endpointId: planned.id, name: planned.names[0] ?? planned.containerId };
    const reservation = await this.#ports.reserve(owner, wanted, planned.address);
    this.#reservations.set(planned.id, reservation);
    const endpoint: EndpointRecord = { ...planned, ports: reservation.bindings };
    if (!this.#firewall.armed) await this.#arm();
    this.#records.putEndpoint(endpoint);
    await this.#lock.run(network.id, () => ensureBridge(this.#links, network, this.#note));
    await plug(this.#links, network, endpoint);
    await Promise.all([
      this.#armed(() => this.#firewall.publish(publicationsOf(endpoint))),
      hasDns(network) ? this.#startResolver(endpoint) : undefined,
    ]);
    return endpoint;
  }

  async #disconnect({ id, containerId }: EndpointRecord): Promise<void> {
    const endpoints = this.#records.endpointsOfContainer(containerId);
    const endpoint = endpoints.find((one) => one.id === id);
    if (!endpoint) return;
    const others = endpoints.filter((one) => one !== endpoint && one.device !== '');
    this.#zones.remove(endpoint);
    if (endpoint.device !== '' && others.length === 0) await this.#stopResolver(endpoint.containerId);
    this.#records.removeEndpoint(endpoint.id);
    if (endpoint.ports.length > 0 && this.#firewall.armed) {
      await this.#armed(() => this.#firewall.unpublish(publicationsOf(endpoint)));
    }
    await this.#reservations.get(endpoint.id)?.release();
    this.#reservations.delete(endpoint.id);
  }

  /** Deletes the device; another network's default route takes over if this one's goes with it. */
  async #unplug(endpoint: EndpointRecord): Promise<void> {
    if (endpoint.device === '') return;
    await this.#deletions.delete(endpoint.device);
    if (endpoint.gateway === '' || !isNamespaceFile(endpoint.namespacePath)) return;
    const next = this.#records
      .endpointsOfContainer(endpoint.containerId)
      .find(({ device, gateway }) => device !== '' && gateway !== '');
    if (next) restoreDefaultRoute(next.namespacePath, next);
  }

  async #revive(endpoint: EndpointRecord): Promise<void> {
    const network = this.inspect(endpoint.networkId);
    if (endpoint.device === '') return;
    await this.#lock.run(network.id, () => ensureBridge(this.#links, network, this.#note));
    if (hasDns(network)) await this.#startResolver(endpoint);
    if (this.#reservations.has(endpoint.id)) return;
    const owner = { endpointId: endpoint.id, name: endpoint.names[0] ?? endpoint.containerId };
    this.#reservations.set(endpoint.id, await this.#ports.reserve(owner, endpoint.ports, endpoint.address));
  }

  async #arm(): Promise<void> {
    await this.#lock.run('arm', async () => {
      if (!this.#firewall.armed) {
        mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
        await sweepDeadEngines(this.#links, tablePrefix);
      }
      const bridges = this.list()
        .map(rulesOf)
        .filter((rules): rules is BridgeRules => rules !== undefined);
      await this.#firewall.arm(bridges, this.#records.endpoints().flatMap(publicationsOf));
    });
  }

  // The table may be gone: a firewall's reload flushes all. Then it is put back whole, with what the records say.
  async #armed(change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (!(VarveError.is(error) && error.code === 'NFT_FAILED')) throw error;
      await this.#arm();
    }
  }

  async #startResolver(endpoint: EndpointRecord): Promise<void> {
    const { containerId } = endpoint;
    let resolver = this.#resolvers.get(containerId);
    if (!resolver) {
      resolver = DnsServer.start(endpoint.namespacePath, dnsViewOf(this.#records, this.#zones, containerId));
      this.#resolvers.set(containerId, resolver);
    }
    try {
      await resolver;
    } catch (error) {
      this.#resolvers.delete(containerId);
      throw error;
    }
  }

  async #stopResolver(containerId: string): Promise<void> {
    const resolver = this.#resolvers.get(containerId);
    this.#resolvers.delete(containerId);
    await (await resolver)?.close();
  }
}

function toEndpoint({
  namespacePath: _path,
  device: _device,
  dns: _dns,
  ...endpoint
}: EndpointRecord): Endpoint {
  return endpoint;
}
