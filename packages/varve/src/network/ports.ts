import { createSocket } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { VarveError } from '../base/index.ts';
import type { PortBinding } from './types.ts';
import { proxyDatagrams } from './udp-proxy.ts';

/** Who a port is reserved for; the words of the error. */
export interface PortOwner {
  readonly endpointId: string;
  /** The container's name. */
  readonly name: string;
}

/** Ports held by sockets of this process; `bindings` have their final numbers. */
export interface PortReservation {
  readonly bindings: readonly PortBinding[];
  release(): Promise<void>;
}

interface Held {
  readonly binding: PortBinding;
  close(): Promise<void>;
}

// A free port for 0.0.0.0 may be taken on ::, so that both need another try.
const EPHEMERAL_TRIES = 16;
const wildcards = new Set(['0.0.0.0', '::']);

const family = (address: string): number => (address.includes(':') ? 6 : 4);
const shown = (binding: PortBinding): string =>
  `${binding.hostAddress.includes(':') ? `[${binding.hostAddress}]` : binding.hostAddress}:${binding.hostPort}`;

function clash(a: PortBinding, b: PortBinding): boolean {
  return (
    a.protocol === b.protocol &&
    a.hostPort === b.hostPort &&
    family(a.hostAddress) === family(b.hostAddress) &&
    (a.hostAddress === b.hostAddress || wildcards.has(a.hostAddress) || wildcards.has(b.hostAddress))
  );
}

// The packet filter sends IPv4 on before a connection gets here. What arrives is IPv6, which the container does not
// speak, or came while the rules were missing (a firewall's reload): it is carried by hand.
function carry(client: Socket, address: string, port: number): void {
  const server = connect({ host: address, port, allowHalfOpen: true });
  const end = (): void => {
    client.destroy();
    server.destroy();
  };
  client.on('error', end);
  server.on('error', end);
  client.pipe(server);
  server.pipe(client);
}

async function holdTcp(binding: PortBinding, address: string): Promise<Held> {
  const clients = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client);
    client.once('close', () => clients.delete(client));
    carry(client, address, binding.containerPort);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(
      { host: binding.hostAddress, port: binding.hostPort, exclusive: true, ipv6Only: true },
      resolve,
    );
  });
  server.on('error', () => undefined);
  server.unref();
  const bound = server.address();
  const hostPort = typeof bound === 'object' && bound ? bound.port : binding.hostPort;
  return {
    binding: { ...binding, hostPort },
    close: () =>
      new Promise((resolve) => {
        for (const client of clients) client.destroy();
        server.close(() => resolve());
      }),
  };
}

async function holdUdp(binding: PortBinding, address: string): Promise<Held> {
  const six = family(binding.hostAddress) === 6;
  const socket = createSocket({ type: six ? 'udp6' : 'udp4', ipv6Only: six });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: binding.hostAddress, port: binding.hostPort, exclusive: true }, resolve);
  });
  socket.removeAllListeners('error');
  socket.unref();
  const stop = proxyDatagrams(socket, address, binding.containerPort);
  return {
    binding: { ...binding, hostPort: socket.address().port },
    close: () =>
      new Promise((resolve) => {
        stop();
        socket.close(() => resolve());
      }),
  };
}

/** Reserves ports of the host by binding them, so that a conflict is found before a container starts. */
export class Ports {
  readonly #held = new Map<Held, string>();

  /**
   * Binds all ports or none. Port 0 takes a free one; the same container port asked for on `0.0.0.0` and on `::` gets
   * one number. A `::` is left out where the host has no IPv6.
   * @param address the container's, for what the packet filter does not send there itself.
   * @throws VarveError `conflict` in Docker's words.
   */
  async reserve(
    owner: PortOwner,
    bindings: readonly PortBinding[],
    address: string,
  ): Promise<PortReservation> {
    const held: Held[] = [];
    try {
      const groups = Map.groupBy(bindings, (binding) =>
        binding.hostPort === 0 ? `${binding.protocol} ${binding.containerPort}` : binding,
      );
      for (const group of groups.values()) held.push(...(await this.#reserveGroup(owner, group, address)));
    } catch (error) {
      await this.#release(held);
      throw error;
    }
    return { bindings: held.map(({ binding }) => binding), release: () => this.#release(held) };
  }

  async #reserveGroup(owner: PortOwner, group: readonly PortBinding[], address: string): Promise<Held[]> {
    for (let attempt = 1; ; attempt++) {
      const held: Held[] = [];
      try {
        for (const binding of group) {
          const hostPort = binding.hostPort === 0 ? (held[0]?.binding.hostPort ?? 0) : binding.hostPort;
          const one = await this.#hold(owner, { ...binding, hostPort }, address);
          if (one) held.push(one);
        }
        return held;
      } catch (error) {
        await this.#release(held);
        if (group[0]?.hostPort !== 0 || attempt >= EPHEMERAL_TRIES) throw error;
      }
    }
  }

  async #hold(owner: PortOwner, binding: PortBinding, address: string): Promise<Held | undefined> {
    const fail = (reason: string, cause?: unknown): VarveError =>
      new VarveError(
        'conflict',
        'PORT_UNAVAILABLE',
        `driver failed programming external connectivity on endpoint ${owner.name} (${owner.endpointId}): ${reason}`,
        { subject: shown(binding), cause },
      );
    const allocated = (): VarveError => fail(`Bind for ${shown(binding)} failed: port is already allocated`);
    for (const other of this.#held.keys()) if (clash(binding, other.binding)) throw allocated();
    try {
      const held = await (binding.protocol === 'tcp' ? holdTcp : holdUdp)(binding, address);
      this.#held.set(held, owner.endpointId);
      return held;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (binding.hostAddress === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL'))
        return undefined;
      // Two attaches at one time: the other's bind came first, its entry in the map comes in a moment.
      if (code === 'EADDRINUSE') {
        throw fail(
          `failed to bind host port for ${shown(binding)}/${binding.protocol}: address already in use`,
          error,
        );
      }
      if (code === 'EADDRNOTAVAIL') {
        throw fail(`failed to bind host port for ${shown(binding)}: cannot assign requested address`, error);
      }
      throw fail(error instanceof Error ? error.message : String(error), error);
    }
  }

  async #release(held: readonly Held[]): Promise<void> {
    for (const one of held) this.#held.delete(one);
    await Promise.all(held.map((one) => one.close()));
  }

  /** Lets go of all ports. */
  async close(): Promise<void> {
    await this.#release([...this.#held.keys()]);
  }
}
