import type { Schema, State } from '../state/index.ts';
import type { Endpoint, Network } from './types.ts';

const schema: Schema = {
  room: 'network',
  migrations: [
    `CREATE TABLE network_networks (
       id TEXT PRIMARY KEY,
       name TEXT NOT NULL UNIQUE,
       record TEXT NOT NULL
     ) STRICT;
     CREATE TABLE network_endpoints (
       id TEXT PRIMARY KEY,
       network_id TEXT NOT NULL REFERENCES network_networks (id),
       container_id TEXT NOT NULL,
       address TEXT,
       record TEXT NOT NULL,
       UNIQUE (network_id, container_id),
       UNIQUE (network_id, address)
     ) STRICT;
     CREATE INDEX network_endpoints_container ON network_endpoints (container_id);`,
  ],
};

/** An endpoint with what is needed to take it apart or bring it back after a restart. */
export interface EndpointRecord extends Endpoint {
  readonly namespacePath: string;
  /** Host's end of the veth pair; empty for `host` and `none`. */
  readonly device: string;
  /** Servers that the container's DNS asks instead of the host's. */
  readonly dns: readonly string[];
}

function isRecord(text: string): boolean {
  try {
    return typeof (JSON.parse(text) as { id?: unknown }).id === 'string';
  } catch {
    return false;
  }
}

/** Networks and endpoints as durable rows. */
export class NetworkRecords {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
    state.migrate(schema);
    this.#dropUnreadable();
  }

  /** A network is what its record says: without that there is none. Containers on it find it gone, as one that was removed. */
  #dropUnreadable(): void {
    const unreadable = (table: string): string[] =>
      this.#state
        .prepare(`SELECT id, record FROM ${table}`)
        .all()
        .filter((row) => !isRecord(String(row['record'])))
        .map((row) => String(row['id']));
    const endpoints = unreadable('network_endpoints');
    const networks = unreadable('network_networks');
    if (endpoints.length + networks.length === 0) return;
    this.#state.transaction(() => {
      for (const id of endpoints) this.#state.prepare('DELETE FROM network_endpoints WHERE id = ?').run(id);
      for (const id of networks) {
        this.#state.prepare('DELETE FROM network_endpoints WHERE network_id = ?').run(id);
        this.#state.prepare('DELETE FROM network_networks WHERE id = ?').run(id);
      }
    });
  }

  networks(): Network[] {
    return this.#read<Network>('SELECT record FROM network_networks ORDER BY name');
  }

  network(id: string): Network | undefined {
    return this.#read<Network>('SELECT record FROM network_networks WHERE id = ?', id)[0];
  }

  networkNamed(name: string): Network | undefined {
    return this.#read<Network>('SELECT record FROM network_networks WHERE name = ?', name)[0];
  }

  addNetwork(network: Network): void {
    this.#state
      .prepare('INSERT INTO network_networks (id, name, record) VALUES (?, ?, ?)')
      .run(network.id, network.name, JSON.stringify(network));
  }

  removeNetwork(id: string): void {
    this.#state.prepare('DELETE FROM network_networks WHERE id = ?').run(id);
  }

  endpoints(): EndpointRecord[] {
    return this.#read<EndpointRecord>('SELECT record FROM network_endpoints ORDER BY rowid');
  }

  endpointsOfNetwork(networkId: string): EndpointRecord[] {
    return this.#read<EndpointRecord>(
      'SELECT record FROM network_endpoints WHERE network_id = ? ORDER BY rowid',
      networkId,
    );
  }

  endpointsOfContainer(containerId: string): EndpointRecord[] {
    return this.#read<EndpointRecord>(
      'SELECT record FROM network_endpoints WHERE container_id = ? ORDER BY rowid',
      containerId,
    );
  }

  addressTaken(networkId: string, address: string): boolean {
    const row = this.#state
      .prepare('SELECT 1 FROM network_endpoints WHERE network_id = ? AND address = ?')
      .get(networkId, address);
    return row !== undefined;
  }

  /** Adds or replaces. */
  putEndpoint(endpoint: EndpointRecord): void {
    this.#state
      .prepare(
        `INSERT INTO network_endpoints (id, network_id, container_id, address, record) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record`,
      )
      .run(
        endpoint.id,
        endpoint.networkId,
        endpoint.containerId,
        endpoint.address === '' ? null : endpoint.address,
        JSON.stringify(endpoint),
      );
  }

  removeEndpoint(id: string): void {
    this.#state.prepare('DELETE FROM network_endpoints WHERE id = ?').run(id);
  }

  #read<T>(sql: string, ...parameters: readonly string[]): T[] {
    return this.#state
      .prepare(sql)
      .all(...parameters)
      .map((row) => JSON.parse(String(row['record'])) as T);
  }
}
