import { BlockList, isIP } from 'node:net';
import { VarveError } from '../base/index.ts';

/** The name or address in `host:port`, without brackets. */
export function hostName(host: string): string {
  return /^\[([^\]]*)\]/.exec(host)?.[1] ?? host.replace(/:\d+$/, '');
}

/** True for hosts that Docker treats as insecure unasked: 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(host: string): boolean {
  const name = hostName(host);
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/**
 * Docker's `insecure-registries`: hosts (`host:port`) and networks (`10.0.0.0/8`). A network holds the registries that
 * are named by an address in it; unlike dockerd, names are not resolved for this.
 * @throws VarveError `invalid` for a network that is none.
 */
export function insecureHosts(entries: readonly string[]): (host: string) => boolean {
  const networks = new BlockList();
  const hosts = new Set<string>();
  for (const entry of entries) {
    const match = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(entry);
    if (match === null) {
      hosts.add(entry);
      continue;
    }
    const [, address = '', length] = match;
    try {
      networks.addSubnet(address, Number(length), isIP(address) === 6 ? 'ipv6' : 'ipv4');
    } catch (error) {
      throw new VarveError('invalid', 'INSECURE_REGISTRY_INVALID', `invalid insecure registry: "${entry}"`, {
        subject: entry,
        cause: error,
      });
    }
  }
  return (host) => {
    const name = hostName(host);
    const family = isIP(name);
    return hosts.has(host) || (family !== 0 && networks.check(name, family === 6 ? 'ipv6' : 'ipv4'));
  };
}
