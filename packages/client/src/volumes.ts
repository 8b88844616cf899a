import type { Transport } from './transport.ts';
import type { Filters, PruneResult, Volume } from './types.ts';

/** `/volumes`. */
export class Volumes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(
    filters: Filters = {},
  ): Promise<{ readonly Volumes: readonly Volume[] | null; readonly Warnings: readonly string[] | null }> {
    return this.#transport.json({ method: 'GET', path: '/volumes', query: { filters } });
  }

  inspect(name: string): Promise<Volume> {
    return this.#transport.json({ method: 'GET', path: `/volumes/${encodeURIComponent(name)}` });
  }

  create(volume: {
    readonly Name?: string | undefined;
    readonly Driver?: string;
    readonly DriverOpts?: Readonly<Record<string, string>>;
    readonly Labels?: Readonly<Record<string, string>>;
  }): Promise<Volume> {
    return this.#transport.json({ method: 'POST', path: '/volumes/create', json: volume });
  }

  async remove(name: string, options: { readonly force?: boolean } = {}): Promise<void> {
    await this.#transport.send({
      method: 'DELETE',
      path: `/volumes/${encodeURIComponent(name)}`,
      query: options,
    });
  }

  prune(filters: Filters = {}): Promise<PruneResult> {
    return this.#transport.json({ method: 'POST', path: '/volumes/prune', query: { filters } });
  }
}
