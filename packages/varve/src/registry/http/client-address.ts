import { BlockList, isIP } from 'node:net';
import { parseNetwork } from '../config/index.ts';

/** Networks of proxies whose X-Forwarded-For is believed. */
export class TrustedProxies {
  readonly #list = new BlockList();

  /** @param networks addresses and networks, `10.0.0.0/8`, `::1`; others are left out */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const { address, prefix, family } = parseNetwork(network) ?? {};
      if (address !== undefined && prefix !== undefined) this.#list.addSubnet(address, prefix, family);
    }
  }

  /**
   * Who a request is from: the peer, or, when that is a trusted proxy, the last address in X-Forwarded-For that is none.
   * What stands before that one anybody could have written.
   */
  clientOf(peer: string | undefined, forwardedFor: string | undefined): string | undefined {
    let client = peer;
    const hops = (forwardedFor ?? '').split(',').map((hop) => hop.trim());
    while (client !== undefined && this.#has(client)) {
      const hop = hops.pop();
      if (hop === undefined || isIP(hop) === 0) break;
      client = hop;
    }
    return client;
  }

  #has(address: string): boolean {
    const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
    return this.#list.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
  }
}
