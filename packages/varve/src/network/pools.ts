import { VarveError } from '../base/index.ts';
import { formatSubnet, overlap, parseSubnet, type Subnet, sizeOf } from './addresses.ts';

/** A block that networks without a subnet of their own are cut from, as dockerd's `--default-address-pool`. */
export interface AddressPool {
  readonly base: string;
  /** Prefix length of the networks. */
  readonly size: number;
}

/**
 * The default bridge takes Docker's place, 172.17.0.0/16, when it is free. User networks are /24s: Docker's own
 * defaults hold 31 networks only, a limit that projects with many compose files run into.
 */
export const defaultPools: readonly AddressPool[] = [
  { base: '172.17.0.0/16', size: 16 },
  { base: '172.20.0.0/14', size: 24 },
  { base: '10.201.0.0/16', size: 24 },
];

/** The destinations in the text of /proc/net/route (proc_net(5)), without the default route. */
export function parseRoutes(text: string): Subnet[] {
  const little = (hex: string): number => Buffer.from(hex, 'hex').readUInt32LE(0);
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length >= 8 && fields[7] !== '00000000')
    .map((fields) => ({
      base: little(fields[1] ?? ''),
      prefixLength: 32 - Math.log2(2 ** 32 - little(fields[7] ?? '')),
    }));
}

/**
 * The first block of the pools that overlaps nothing in `taken` (networks and the host's routes).
 * @throws VarveError `exhausted` in Docker's words.
 */
export function chooseSubnet(pools: readonly AddressPool[], taken: readonly Subnet[]): Subnet {
  for (const pool of pools) {
    const block = parseSubnet(pool.base);
    const step = 2 ** (32 - pool.size);
    for (let base = block.base; base < block.base + sizeOf(block); base += step) {
      const candidate = { base, prefixLength: pool.size };
      if (!taken.some((other) => overlap(candidate, other))) return candidate;
    }
  }
  throw new VarveError(
    'exhausted',
    'POOLS_EXHAUSTED',
    'all predefined address pools have been fully subnetted',
    {
      hint: 'remove unused networks with `varve network prune`, or give one with --subnet',
      data: { pools: pools.map((pool) => pool.base), taken: taken.map(formatSubnet) },
    },
  );
}
