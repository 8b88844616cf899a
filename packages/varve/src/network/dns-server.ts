import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { bindInet, insideNetworkNamespace } from '../linux/index.ts';
import {
  type Answer,
  parseQuestion,
  recordType,
  respond,
  responseCode,
  reverseAddress,
} from './dns-message.ts';
import { askUpstream } from './dns-upstream.ts';
import { nft } from './firewall.ts';

/** Where a container finds its resolver, as in Docker: programs are configured with this address. */
export const embeddedDnsAddress = '127.0.0.11';

/** What one container can resolve. Asked anew for every query. */
export interface DnsView {
  /** Addresses of a name, lower case; empty when the name is not of this network. */
  addresses(name: string): readonly string[];
  /** The name of an address. */
  nameOf(address: string): string | undefined;
  /** Servers for all other names; empty where nothing may leave (an internal network, CVE-2024-29018). */
  upstream(): readonly string[];
}

// moby's bound on queries in flight for one container.
const MOST_QUERIES = 1024;
const MOST_CONNECTIONS = 64;
const TCP_IDLE_MS = 10_000;
// What fits in 512 bytes, the size every client takes over UDP (RFC 1035 section 4.2.1).
const MOST_ANSWERS = 14;

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function localAnswer(view: DnsView, query: Buffer): Buffer | undefined {
  const question = parseQuestion(query);
  if (!question) return undefined;
  const addresses = view.addresses(question.name);
  if (addresses.length > 0) {
    const wanted = question.type === recordType.a || question.type === recordType.any;
    // Another type of a name we know is "nothing of that type", not "no such name": resolvers give up at the latter.
    const answers = wanted
      ? shuffled(addresses)
          .slice(0, MOST_ANSWERS)
          .map((address): Answer => ({ type: 'a', address }))
      : [];
    return respond(query, question, responseCode.ok, answers);
  }
  const reverse = question.type === recordType.ptr ? reverseAddress(question.name) : undefined;
  const name = reverse === undefined ? undefined : view.nameOf(reverse);
  return name === undefined ? undefined : respond(query, question, responseCode.ok, [{ type: 'ptr', name }]);
}

/**
 * The resolver of one container at 127.0.0.11:53. Its sockets are in the container's network namespace and served by
 * this process; they are never reopened while it lives, so no query is lost when other containers come and go.
 */
export class DnsServer {
  readonly #view: DnsView;
  readonly #udp: DatagramSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Socket>();
  #inFlight = 0;

  private constructor(view: DnsView, udp: DatagramSocket, tcp: Server) {
    this.#view = view;
    this.#udp = udp;
    this.#tcp = tcp;
  }

  /** Starts serving in the namespace at `namespacePath`. */
  static async start(namespacePath: string, view: DnsView): Promise<DnsServer> {
    // Free ports with a redirection from 53 inside the container, so that it may itself serve DNS on 0.0.0.0:53.
    const { udp: udpFd, tcp: tcpFd } = insideNetworkNamespace(namespacePath, () => ({
      udp: bindInet('udp', embeddedDnsAddress, 0),
      tcp: bindInet('tcp', embeddedDnsAddress, 0),
    }));
    const udp = createSocket('udp4');
    const tcp = createServer();
    const server = new DnsServer(view, udp, tcp);
    udp.on('error', () => undefined);
    tcp.on('error', () => undefined);
    await Promise.all([
      new Promise<void>((resolve) => udp.bind({ fd: udpFd.fd }, resolve)),
      new Promise<void>((resolve) => tcp.listen({ fd: tcpFd.fd }, resolve)),
    ]);
    udp.unref();
    tcp.unref();
    udp.on('message', (message, from) => {
      void server.#answer(message, 'udp').then((reply) => {
        if (reply) udp.send(reply, from.port, from.address, () => undefined);
      });
    });
    tcp.on('connection', (socket) => server.#serve(socket));
    try {
      await nft(redirection(udpFd.port, tcpFd.port), namespacePath);
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  async #answer(query: Buffer, transport: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const question = parseQuestion(query);
    if (!question) return undefined;
    const local = localAnswer(this.#view, query);
    if (local) return local;
    const servers = this.#view.upstream();
    if (servers.length === 0) return respond(query, question, responseCode.serverFailure);
    if (this.#inFlight >= MOST_QUERIES) return undefined;
    this.#inFlight++;
    try {
      return await askUpstream(servers, query, question, transport);
    } catch {
      return respond(query, question, responseCode.serverFailure);
    } finally {
      this.#inFlight--;
    }
  }

  #serve(socket: Socket): void {
    if (this.#connections.size >= MOST_CONNECTIONS) {
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    socket.on('error', () => undefined);
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    let bytes = Buffer.alloc(0);
    let tail = Promise.resolve();
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
        const query = bytes.subarray(2, 2 + bytes.readUInt16BE(0));
        bytes = bytes.subarray(2 + query.length);
        // In order, one at a time: a client that pipelines waits for itself only.
        socket.pause();
        tail = tail.then(async () => {
          const reply = await this.#answer(query, 'tcp');
          if (!reply || socket.destroyed) {
            socket.destroy();
            return;
          }
          const length = Buffer.alloc(2);
          length.writeUInt16BE(reply.length);
          socket.write(Buffer.concat([length, reply]));
          socket.resume();
        });
      }
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(() => resolve())),
      new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
    ]);
  }
}

function redirection(udpPort: number, tcpPort: number): string {
  return `table ip varve_dns
delete table ip varve_dns
table ip varve_dns {
  chain output {
    type nat hook output priority -100;
    ip daddr ${embeddedDnsAddress} udp dport 53 dnat to ${embeddedDnsAddress}:${udpPort}
    ip daddr ${embeddedDnsAddress} tcp dport 53 dnat to ${embeddedDnsAddress}:${tcpPort}
  }
}
`;
}
