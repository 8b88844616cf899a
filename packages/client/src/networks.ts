import type { Cancellable } from './containers.ts';
import type { Transport } from './transport.ts';
import type { EndpointSettings, Filters, NetworkCreate, NetworkInspect, PruneResult } from './types.ts';

/** `/networks`. */
export class Networks {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(filters: Filters = {}, options: Cancellable = {}): Promise<NetworkInspect[]> {
    return this.#transport.json({ method: 'GET', path: '/networks', query: { filters }, ...options });
  }

  inspect(name: string, options: { readonly verbose?: boolean } & Cancellable = {}): Promise<NetworkInspect> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'GET', path: at(name), query, signal });
  }

  create(
    network: NetworkCreate,
    options: Cancellable = {},
  ): Promise<{ readonly Id: string; readonly Warning: string }> {
    return this.#transport.json({ method: 'POST', path: '/networks/create', json: network, ...options });
  }

  async remove(name: string, options: Cancellable = {}): Promise<void> {
    await this.#transport.send({ method: 'DELETE', path: at(name), ...options });
  }

  async connect(
    name: string,
    container: string,
    endpoint: EndpointSettings = {},
    options: Cancellable = {},
  ): Promise<void> {
    const json = { Container: container, EndpointConfig: endpoint };
    await this.#transport.send({ method: 'POST', path: `${at(name)}/connect`, json, ...options });
  }

  async disconnect(
    name: string,
    container: string,
    options: { readonly force?: boolean } & Cancellable = {},
  ): Promise<void> {
    const json = { Container: container, Force: options.force ?? false };
    const { signal } = options;
    await this.#transport.send({ method: 'POST', path: `${at(name)}/disconnect`, json, signal });
  }

  prune(filters: Filters = {}, options: Cancellable = {}): Promise<PruneResult> {
    return this.#transport.json({ method: 'POST', path: '/networks/prune', query: { filters }, ...options });
  }
}

function at(name: string): string {
  return `/networks/${encodeURIComponent(name)}`;
}
