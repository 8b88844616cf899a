import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import { createNetworkNamespace, Links, removeNetworkNamespace } from '../linux/index.ts';

// The loopback device is the first of every namespace.
const LOOPBACK_INDEX = 1;

/** Settings of a fresh namespace; each is left as it is where the kernel has no such file. */
const settings: readonly (readonly [string, string])[] = [
  // As Docker: a program that is not root may listen on port 80 and use ping.
  ['net/ipv4/ip_unprivileged_port_start', '0'],
  ['net/ipv4/ping_group_range', '0\t2147483647'],
  // A network without IPv6 gives no link-local address either (CVE-2024-32473).
  ['net/ipv6/conf/default/disable_ipv6', '1'],
];

function prepare(): void {
  using links = new Links();
  links.setUp(LOOPBACK_INDEX);
  for (const [path, value] of settings) {
    try {
      writeFileSync(`/proc/sys/${path}`, value);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
}

/** The containers' network namespaces, one file each in a folder. They outlive the daemon. */
export class Namespaces {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  path(id: string): string {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(id)) {
      throw new VarveError('invalid', 'INVALID_ID', `invalid id "${id}"`, { subject: id });
    }
    return join(this.#folder, id);
  }

  create(id: string): string {
    const path = this.path(id);
    mkdirSync(this.#folder, { recursive: true, mode: 0o711 });
    createNetworkNamespace(path, prepare);
    return path;
  }

  remove(id: string): void {
    removeNetworkNamespace(this.path(id));
  }

  list(): string[] {
    try {
      return readdirSync(this.#folder);
    } catch {
      return [];
    }
  }
}
