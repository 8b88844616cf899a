import { attribute, parseAttributes, type NetlinkRequest, RouteSocket } from './netlink.ts';

/*
 * Connection tracking over netlink (nfnetlink, linux/netfilter/nfnetlink_conntrack.h): just enough to forget UDP flows.
 */

const NETLINK_NETFILTER = 12;
const CTNETLINK = 1 << 8; // NFNL_SUBSYS_CTNETLINK
const GET = 1;
const DELETE = 2;
const NESTED = 0x8000;
const CTA = {
  tupleOriginal: 1,
  tupleIp: 1,
  tupleProtocol: 2,
  protocolNumber: 1,
  destinationPort: 3,
} as const;
const IPV4_DESTINATION = 2;
const UDP = 17;

// struct nfgenmsg: family AF_INET, version 0, resource id 0.
const family = Buffer.from([2, 0, 0, 0]);
const HEADER_BYTES = 4;

function request(what: string, type: number, body: readonly Buffer[] = []): NetlinkRequest {
  return { what, type: CTNETLINK | type, body: [family, ...body] };
}

/** The address and port that a flow's first packet went to; undefined unless it is UDP. */
function udpDestination(tuple: Buffer): { readonly address: string; readonly port: number } | undefined {
  const parts = parseAttributes(tuple);
  const protocol = parseAttributes(parts.get(CTA.tupleProtocol) ?? Buffer.alloc(0));
  const ip = parseAttributes(parts.get(CTA.tupleIp) ?? Buffer.alloc(0)).get(IPV4_DESTINATION);
  const port = protocol.get(CTA.destinationPort);
  if (protocol.get(CTA.protocolNumber)?.[0] !== UDP || !port || !ip) return undefined;
  return { address: [...ip].join('.'), port: port.readUInt16BE(0) };
}

/**
 * Forgets the IPv4 UDP flows of this network namespace that were sent to one of these ports. A flow keeps the way it
 * once got, and a client that goes on sending keeps it alive: without this, it would never see that a port leads to
 * another container now. TCP has connections, which end.
 * @param address only those sent to this address; all when undefined.
 */
export function forgetUdpFlows(ports: ReadonlySet<number>, address?: string): number {
  using socket = new RouteSocket(NETLINK_NETFILTER);
  let forgotten = 0;
  for (const { body } of socket.dump(request('list flows', GET))) {
    const tuple = parseAttributes(body.subarray(HEADER_BYTES)).get(CTA.tupleOriginal);
    const destination = tuple && udpDestination(tuple);
    if (!destination || !ports.has(destination.port)) continue;
    if (address !== undefined && destination.address !== address) continue;
    try {
      socket.requestNow(request('forget flow', DELETE, [attribute(CTA.tupleOriginal | NESTED, tuple)]));
      forgotten++;
    } catch {
      // It ended by itself.
    }
  }
  return forgotten;
}
