import type { Cancellable } from './containers.ts';
import type { Transport } from './transport.ts';
import type { Filters, PruneResult, Volume, VolumeCreate } from './types.ts';

/** `/volumes`. */
export class Volumes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(
    filters: Filters = {},
    options: Cancellable = {},
  ): Promise<{ readonly Volumes: readonly Volume[] | null; readonly Warnings: readonly string[] | null }> {
    return this.#transport.json({ method: 'GET', path: '/volumes', query: { filters }, ...options });
  }

  inspect(name: string, options: Cancellable = {}): Promise<Volume> {
    return this.#transport.json({ method: 'GET', path: at(name), ...options });
  }

  /** Makes a volume, or gives the one of that name; without a name, an anonymous one. */
  create(volume: VolumeCreate, options: Cancellable = {}): Promise<Volume> {
    return this.#transport.json({ method: 'POST', path: '/volumes/create', json: volume, ...options });
  }

  async remove(name: string, options: { readonly force?: boolean } & Cancellable = {}): Promise<void> {
    const { signal, ...query } = options;
    await this.#transport.send({ method: 'DELETE', path: at(name), query, signal });
  }

  prune(filters: Filters = {}, options: Cancellable = {}): Promise<PruneResult> {
    return this.#transport.json({ method: 'POST', path: '/volumes/prune', query: { filters }, ...options });
  }
}

function at(name: string): string {
  return `/volumes/${encodeURIComponent(name)}`;
}
