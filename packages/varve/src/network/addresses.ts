import { VarveError } from '../base/index.ts';

/** A block of IPv4 addresses: the first one as a number, and how many leading bits are fixed. */
export interface Subnet {
  readonly base: number;
  readonly prefixLength: number;
}

/** The number of a dotted quad; undefined when the text is not exactly four decimal parts of 0–255. */
export function parseAddress(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    // A leading zero is octal to some readers and decimal to others.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** Number of addresses in the block, the network's and the broadcast one included. */
export function sizeOf(subnet: Subnet): number {
  return 2 ** (32 - subnet.prefixLength);
}

/**
 * Reads `10.1.0.0/16`; bits behind the prefix are cut off.
 * @throws VarveError `invalid`, in Docker's words.
 */
export function parseSubnet(text: string): Subnet {
  const slash = text.indexOf('/');
  const address = parseAddress(text.slice(0, slash));
  const bits = /^\d{1,2}$/.test(text.slice(slash + 1)) ? Number(text.slice(slash + 1)) : -1;
  if (slash < 0 || address === undefined || bits < 0 || bits > 32) {
    throw new VarveError(
      'invalid',
      'INVALID_SUBNET',
      `invalid subnet ${text} : invalid CIDR block notation`,
      {
        subject: text,
        ...(text.includes(':') ? { hint: 'networks are IPv4 only in this version' } : {}),
      },
    );
  }
  const size = 2 ** (32 - bits);
  return { base: Math.floor(address / size) * size, prefixLength: bits };
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(subnet.base)}/${subnet.prefixLength}`;
}

export function contains(subnet: Subnet, address: number): boolean {
  return address >= subnet.base && address < subnet.base + sizeOf(subnet);
}

export function overlap(a: Subnet, b: Subnet): boolean {
  return contains(a, b.base) || contains(b, a.base);
}

export function broadcastOf(subnet: Subnet): string {
  return formatAddress(subnet.base + sizeOf(subnet) - 1);
}

/** A locally administered MAC that follows from the address, so that a neighbour's ARP entry stays right when the address is used again. */
export function macOf(address: string): string {
  const value = parseAddress(address) ?? 0;
  const parts = [2, 0x42, (value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
  return parts.map((part) => part.toString(16).padStart(2, '0')).join(':');
}
