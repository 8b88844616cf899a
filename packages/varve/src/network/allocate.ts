import { VarveError } from '../base/index.ts';
import { contains, formatAddress, parseAddress, parseSubnet, sizeOf } from './addresses.ts';
import type { Network } from './types.ts';

/**
 * An address for a new endpoint: the one asked for, or the first free one after `after` (then from the start), so that
 * an address just given back is not used again at once, while neighbours still remember it.
 * @throws VarveError `conflict` when the address is taken, `invalid` when it is not of the network, `exhausted` when none is free.
 */
export function allocateAddress(
  network: Network,
  taken: (address: string) => boolean,
  asked?: string,
  after?: string,
): string {
  const subnet = parseSubnet(network.subnet ?? '');
  if (asked !== undefined) {
    const value = parseAddress(asked);
    if (value === undefined || !contains(subnet, value)) {
      throw new VarveError(
        'invalid',
        'ADDRESS_OUT_OF_SUBNET',
        `invalid endpoint settings:\nno configured subnet contains IP address ${asked}`,
      );
    }
    const reserved = value === subnet.base || value === subnet.base + sizeOf(subnet) - 1;
    if (reserved || asked === network.gateway || taken(asked)) {
      throw new VarveError('conflict', 'ADDRESS_IN_USE', 'Address already in use', { subject: asked });
    }
    return asked;
  }
  const range = network.ipRange === undefined ? subnet : parseSubnet(network.ipRange);
  const size = sizeOf(range);
  const cursor = parseAddress(after ?? '');
  const start = cursor !== undefined && contains(range, cursor) ? cursor - range.base + 1 : 0;
  for (let step = 0; step < size; step++) {
    const value = range.base + ((start + step) % size);
    if (value === subnet.base || value === subnet.base + sizeOf(subnet) - 1) continue;
    const address = formatAddress(value);
    if (address !== network.gateway && !taken(address)) return address;
  }
  throw new VarveError(
    'exhausted',
    'NO_FREE_ADDRESS',
    `no available IPv4 addresses on this network's address pools: ${network.name} (${network.id})`,
  );
}
