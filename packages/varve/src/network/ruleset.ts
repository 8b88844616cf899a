import type { PortBinding } from './types.ts';

/** What the packet filter must know of a bridge network. */
export interface BridgeRules {
  readonly bridge: string;
  readonly subnet: string;
  readonly gateway: string;
  /** No way in or out but to the network's own containers. */
  readonly internal: boolean;
  /** Containers may talk to each other (com.docker.network.bridge.enable_icc). */
  readonly connected: boolean;
  /** Containers go out under the host's address (com.docker.network.bridge.enable_ip_masquerade). */
  readonly masquerade: boolean;
}

/** A port made reachable: `binding` on the host leads to `address` in a container. */
export interface Publication {
  readonly binding: PortBinding;
  readonly address: string;
}

/** All the rules there are, as data. */
export interface Rules {
  readonly table: string;
  /** Whose table it is; empty for none. */
  readonly note: string;
  readonly bridges: readonly BridgeRules[];
  readonly publications: readonly Publication[];
  /**
   * True when it was us who turned forwarding on: the host must not become a router between its wires. Bridges of others
   * (virtual machines, another engine) have rules of their own.
   */
  readonly dropForeignForwarding: boolean;
}

const isIPv4 = (binding: PortBinding): boolean => !binding.hostAddress.includes(':');
const isWildcard = (binding: PortBinding): boolean => binding.hostAddress === '0.0.0.0';
const quoted = (name: string): string => `"${name}"`;

function elements(values: readonly string[]): string {
  return values.length === 0 ? '' : ` elements = { ${values.join(', ')} };`;
}

function key({ binding }: Publication): string {
  const port = `${binding.protocol} . ${binding.hostPort}`;
  return isWildcard(binding) ? port : `${binding.hostAddress} . ${port}`;
}

function element(publication: Publication): string {
  return `${key(publication)} : ${publication.address} . ${publication.binding.containerPort}`;
}

/**
 * The whole rule set as one nft(8) transaction, which replaces what was there. Everything that varies is in sets and
 * maps, so a packet meets the same dozen rules with one container or a thousand, and a port is one element.
 *
 * Postrouting asks for the sender's subnet, not its bridge: where br_netfilter is on, a container that reaches itself
 * through its published port is switched, not routed, and has no input device there.
 */
export function renderRules(rules: Rules): string {
  const { table, bridges } = rules;
  const published = rules.publications.filter(({ binding }) => isIPv4(binding));
  const names = (chosen: readonly BridgeRules[]): string =>
    elements(chosen.map(({ bridge }) => quoted(bridge)));
  const pairs = (chosen: readonly BridgeRules[]): string =>
    elements(chosen.map(({ bridge }) => `${quoted(bridge)} . ${quoted(bridge)}`));
  return `table ip ${table}
delete table ip ${table}
table ip ${table} {${
    rules.note === ''
      ? ''
      : `
  comment "${rules.note}"`
  }
  map published_any { type inet_proto . inet_service : ipv4_addr . inet_service;${elements(
    published.filter(({ binding }) => isWildcard(binding)).map(element),
  )} }
  map published_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;${elements(
    published.filter(({ binding }) => !isWildcard(binding)).map(element),
  )} }
  set bridges { type ifname;${names(bridges)} }
  set internal { type ifname;${names(bridges.filter(({ internal }) => internal))} }
  set connected { type ifname . ifname;${pairs(bridges.filter(({ connected }) => connected))} }
  set subnets { type ipv4_addr; flags interval;${elements(bridges.map(({ subnet }) => subnet))} }
  set masqueraded { type ipv4_addr; flags interval;${elements(
    bridges.filter(({ masquerade, internal }) => masquerade && !internal).map(({ subnet }) => subnet),
  )} }
  chain publish {
    dnat ip to ip daddr . meta l4proto . th dport map @published_at
    dnat ip to meta l4proto . th dport map @published_any
  }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    fib daddr type local jump publish
  }
  chain output {
    type nat hook output priority -100;
    fib daddr type local jump publish
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr @subnets oifname @bridges ct status dnat masquerade
    ip saddr 127.0.0.0/8 oifname @bridges masquerade
    ip saddr @masqueraded oifname != @bridges masquerade
  }
  chain raw {
    type filter hook prerouting priority raw;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
    iifname != "lo" ip saddr 127.0.0.0/8 drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname != @bridges oifname != @bridges ${rules.dropForeignForwarding ? 'goto foreign' : 'accept'}
    ct state established,related accept
    iifname . oifname @connected accept
    iifname @internal drop
    oifname @internal drop
    ct status dnat accept
    oifname @bridges drop
  }
  chain foreign {
    meta iifkind "bridge" accept
    meta oifkind "bridge" accept
    drop
  }
}
`;
}

/**
 * Rules on frames, of the bridge family: a container cannot pass for its network's gateway, by ARP or by address.
 * @param prefix what the names of our veth devices begin with.
 */
export function renderGuard(rules: Rules, prefix: string): string {
  const gateways = elements(rules.bridges.map(({ gateway }) => gateway));
  return `table bridge ${rules.table}
delete table bridge ${rules.table}
table bridge ${rules.table} {
  set gateways { type ipv4_addr;${gateways} }
  chain prerouting {
    type filter hook prerouting priority filter;
    iifname != "${prefix}*" accept
    arp saddr ip @gateways drop
    ip saddr @gateways drop
  }
}
`;
}

function change(verb: 'add' | 'delete', table: string, publications: readonly Publication[]): string {
  return publications
    .filter(({ binding }) => isIPv4(binding))
    .map((publication) => {
      const map = isWildcard(publication.binding) ? 'published_any' : 'published_at';
      const what = verb === 'add' ? element(publication) : key(publication);
      return `${verb} element ip ${table} ${map} { ${what} }\n`;
    })
    .join('');
}

/** A transaction that publishes ports; empty when there is nothing for IPv4. */
export function renderPublish(table: string, publications: readonly Publication[]): string {
  return change('add', table, publications);
}

/** A transaction that takes them back. */
export function renderUnpublish(table: string, publications: readonly Publication[]): string {
  return change('delete', table, publications);
}
