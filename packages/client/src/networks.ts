import type { Transport } from './transport.ts';
import type { EndpointSettings, Filters, NetworkCreate, NetworkInspect, PruneResult } from './types.ts';

/** `/networks`. */
export class Networks {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(filters: Filters = {}): Promise<NetworkInspect[]> {
    return this.#transport.json({ method: 'GET', path: '/networks', query: { filters } });
  }

  inspect(name: string, options: { readonly verbose?: boolean } = {}): Promise<NetworkInspect> {
    return this.#transport.json({
      method: 'GET',
      path: `/networks/${encodeURIComponent(name)}`,
      query: options,
    });
  }

  create(network: NetworkCreate): Promise<{ readonly Id: string; readonly Warning: string }> {
    return this.#transport.json({ method: 'POST', path: '/networks/create', json: network });
  }

  async remove(name: string): Promise<void> {
    await this.#transport.send({ method: 'DELETE', path: `/networks/${encodeURIComponent(name)}` });
  }

  async connect(name: string, container: string, endpoint: EndpointSettings = {}): Promise<void> {
    await this.#transport.send({
      method: 'POST',
      path: `/networks/${encodeURIComponent(name)}/connect`,
      json: { Container: container, EndpointConfig: endpoint },
    });
  }

  async disconnect(
    name: string,
    container: string,
    options: { readonly force?: boolean } = {},
  ): Promise<void> {
    await this.#transport.send({
      method: 'POST',
      path: `/networks/${encodeURIComponent(name)}/disconnect`,
      json: { Container: container, Force: options.force ?? false },
    });
  }

  prune(filters: Filters = {}): Promise<PruneResult> {
    return this.#transport.json({ method: 'POST', path: '/networks/prune', query: { filters } });
  }
}
