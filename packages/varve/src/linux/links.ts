import { closeSync, openSync } from 'node:fs';
import { isKind } from '../base/index.ts';
import { attribute, NLM, parseAttributes, RouteSocket } from './netlink.ts';

const RTM = { newLink: 16, delLink: 17, getLink: 18, setLink: 19, newAddress: 20, newRoute: 24 } as const;
const AF_INET = 2;
const AF_BRIDGE = 7;
const IFF_UP = 1;
const NESTED = 0x8000;
const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  protinfo: 12,
  linkInfo: 18,
  alias: 20,
  namespaceFd: 28,
} as const;
const INFO_KIND = 1;
const INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const BRPORT_HAIRPIN = 4;
const BRPORT_ISOLATED = 33;
const IFA = { address: 1, local: 2, broadcast: 4 } as const;
const RTA = { output: 4, gateway: 5 } as const;

/** A network device as the kernel lists it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** Index of the bridge it is a port of; 0 for none. */
  readonly master: number;
  readonly up: boolean;
  /** A note that somebody set; empty for none. */
  readonly alias: string;
}

function linkHeader(index: number, flags = 0, change = 0, family = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(family, 0);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

const text = (bytes: Buffer | undefined): string => bytes?.toString('utf8').replace(/\0.*$/s, '') ?? '';
const ipv4 = (address: string): Buffer => Buffer.from(address.split('.').map(Number));
const mac = (address: string): Buffer => Buffer.from(address.replaceAll(':', ''), 'hex');

/** Devices, addresses and routes of one network namespace: the one in which it was made. */
export class Links implements Disposable {
  readonly #socket = new RouteSocket();

  list(): Link[] {
    return this.#socket
      .dump({ what: 'list links', type: RTM.getLink, body: [linkHeader(0)] })
      .map(({ body }) => {
        const attributes = parseAttributes(body.subarray(16));
        return {
          index: body.readInt32LE(4),
          name: text(attributes.get(IFLA.name)),
          master: attributes.get(IFLA.master)?.readUInt32LE(0) ?? 0,
          up: (body.readUInt32LE(8) & IFF_UP) !== 0,
          alias: text(attributes.get(IFLA.alias)),
        };
      });
  }

  find(name: string): Link | undefined {
    return this.list().find((link) => link.name === name);
  }

  /** Makes a bridge, down. @throws VarveError `conflict` when the name is taken. */
  async addBridge(
    name: string,
    options: { readonly mtu?: number; readonly mac?: string } = {},
  ): Promise<void> {
    await this.#socket.request({
      what: `add bridge ${name}`,
      type: RTM.newLink,
      flags: NLM.create | NLM.excl,
      body: [
        linkHeader(0),
        attribute(IFLA.name, name),
        ...(options.mac === undefined ? [] : [attribute(IFLA.address, mac(options.mac))]),
        ...(options.mtu === undefined ? [] : [attribute(IFLA.mtu, options.mtu)]),
        attribute(IFLA.linkInfo | NESTED, [attribute(INFO_KIND, 'bridge')]),
      ],
    });
  }

  /**
   * Makes a pair of devices: `name` here, up and a port of the bridge `master`, its peer in another namespace, down.
   */
  async addVeth(veth: {
    readonly name: string;
    readonly master: number;
    readonly peerName: string;
    readonly peerNamespace: string;
    readonly peerMac: string;
    readonly mtu?: number;
  }): Promise<void> {
    const namespace = openSync(veth.peerNamespace, 'r');
    try {
      const mtu = veth.mtu === undefined ? [] : [attribute(IFLA.mtu, veth.mtu)];
      const peer = [
        linkHeader(0),
        attribute(IFLA.name, veth.peerName),
        attribute(IFLA.address, mac(veth.peerMac)),
        attribute(IFLA.namespaceFd, namespace),
        ...mtu,
      ];
      await this.#socket.request({
        what: `add veth ${veth.name}`,
        type: RTM.newLink,
        flags: NLM.create | NLM.excl,
        body: [
          linkHeader(0, IFF_UP, IFF_UP),
          attribute(IFLA.name, veth.name),
          attribute(IFLA.master, veth.master),
          ...mtu,
          attribute(IFLA.linkInfo | NESTED, [
            attribute(INFO_KIND, 'veth'),
            attribute(INFO_DATA | NESTED, [attribute(VETH_INFO_PEER | NESTED, peer)]),
          ]),
        ],
      });
    } finally {
      closeSync(namespace);
    }
  }

  /**
   * Settings of a bridge's port: `hairpin` lets a frame leave where it came in (a container reaching itself through its
   * published port), `isolated` keeps it from other isolated ports.
   */
  async setBridgePort(
    index: number,
    port: { readonly hairpin: boolean; readonly isolated: boolean },
  ): Promise<void> {
    await this.#socket.request({
      what: `set bridge port ${index}`,
      type: RTM.setLink,
      body: [
        linkHeader(index, 0, 0, AF_BRIDGE),
        attribute(IFLA.protinfo | NESTED, [
          attribute(BRPORT_HAIRPIN, Buffer.from([port.hairpin ? 1 : 0])),
          attribute(BRPORT_ISOLATED, Buffer.from([port.isolated ? 1 : 0])),
        ]),
      ],
    });
  }

  /** Sets a device up; synchronous, so that it may run inside another namespace. */
  setUp(index: number): void {
    this.#socket.requestNow({
      what: `set link ${index} up`,
      type: RTM.newLink,
      body: [linkHeader(index, IFF_UP, IFF_UP)],
    });
  }

  /** Leaves a note on a device, up to 255 bytes. */
  setAlias(index: number, alias: string): void {
    this.#socket.requestNow({
      what: `set alias of link ${index}`,
      type: RTM.newLink,
      body: [linkHeader(index), attribute(IFLA.alias, Buffer.from(alias))],
    });
  }

  addAddress(index: number, address: string, prefixLength: number, broadcast: string): void {
    const header = Buffer.alloc(8);
    header.writeUInt8(AF_INET, 0);
    header.writeUInt8(prefixLength, 1);
    header.writeUInt32LE(index, 4);
    this.#socket.requestNow({
      what: `add address ${address}/${prefixLength}`,
      type: RTM.newAddress,
      flags: NLM.create | NLM.excl,
      body: [
        header,
        attribute(IFA.local, ipv4(address)),
        attribute(IFA.address, ipv4(address)),
        attribute(IFA.broadcast, ipv4(broadcast)),
      ],
    });
  }

  addDefaultRoute(index: number, gateway: string): void {
    const header = Buffer.alloc(12);
    header.writeUInt8(AF_INET, 0);
    header.writeUInt8(254, 4); // RT_TABLE_MAIN
    header.writeUInt8(3, 5); // RTPROT_BOOT, as `ip route add`
    header.writeUInt8(1, 7); // RTN_UNICAST
    this.#socket.requestNow({
      what: `add default route via ${gateway}`,
      type: RTM.newRoute,
      flags: NLM.create | NLM.excl,
      body: [header, attribute(RTA.gateway, ipv4(gateway)), attribute(RTA.output, index)],
    });
  }

  /** Deletes a device by name; nothing happens when it is not there. */
  async delete(name: string): Promise<void> {
    try {
      await this.#socket.request({
        what: `delete link ${name}`,
        type: RTM.delLink,
        body: [linkHeader(0), attribute(IFLA.name, name)],
      });
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
