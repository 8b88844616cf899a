import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import type { RuntimeMount } from '../runtime/index.ts';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';
import { containerFolder } from './folders.ts';
import type { ContainerRecord } from './types.ts';

const files = ['hostname', 'hosts', 'resolv.conf'] as const;

/**
 * Checks `--add-host` and puts the host's address for `host-gateway`.
 * @throws VarveError `invalid`.
 */
export function extraHosts(core: EngineCore, entries: readonly string[]): string[] {
  return entries.map((entry) => {
    const at = entry.search(/[:=]/);
    const [name, address] = [entry.slice(0, at), entry.slice(at + 1)];
    if (at < 1 || !/^[a-zA-Z0-9_.-]+$/.test(name) || !/^(host-gateway|\[?[0-9a-fA-F.:]+\]?)$/.test(address)) {
      throw new VarveError('invalid', 'INVALID_EXTRA_HOST', `bad format for add-host: "${entry}"`, {
        subject: entry,
      });
    }
    return `${name}:${address === 'host-gateway' ? core.networks.hostGateway() : address}`;
  });
}

/**
 * The container of a `--link name[:alias]` with the names it gets.
 * @throws VarveError `invalid` when there is no such container (`not-found` would be read as a missing image).
 */
export function linkedContainer(
  core: EngineCore,
  link: string,
): { readonly container: Container; readonly alias: string } {
  const [name = '', alias = name] = link.split(':');
  try {
    return { container: core.containers.resolve(name), alias: alias.replace(/^.*\//, '') };
  } catch (error) {
    throw new VarveError(
      'invalid',
      'NO_SUCH_CONTAINER',
      `could not get container for ${name}: ${VarveError.from(error).message}`,
      { subject: name },
    );
  }
}

/** Links as lines of /etc/hosts: the other's address under its alias and its name, while it runs. */
function linkHosts(core: EngineCore, links: readonly string[]): string[] {
  return links.flatMap((link) => {
    const { container, alias } = linkedContainer(core, link);
    const [address] = addressesOf(container.record.networks);
    if (address === undefined) return [];
    return [...new Set([alias, container.name])].map((name) => `${name}:${address}`);
  });
}

/** Container addresses in the order of its networks. */
function addressesOf(networks: ContainerRecord['networks']): string[] {
  return Object.values(networks)
    .map((settings) => settings.IPAddress)
    .filter((address) => address !== '');
}

function onHostNetwork(record: ContainerRecord): boolean {
  return record.hostConfig.NetworkMode === 'host';
}

/**
 * Writes /etc/hostname, /etc/hosts and /etc/resolv.conf of a container, in place: one that runs sees the same inodes.
 * Before its networks are attached it has no address yet; call it again then.
 */
export function writeEtcFiles(core: EngineCore, record: ContainerRecord): void {
  const { config, hostConfig: host } = record;
  const names = Object.keys(record.networks);
  const contents = core.networks.containerFiles({
    hostname: config.Hostname,
    ...(config.Domainname ? { domainname: config.Domainname } : {}),
    addresses: addressesOf(record.networks),
    extraHosts: [...extraHosts(core, host.ExtraHosts ?? []), ...linkHosts(core, host.Links ?? [])],
    resolver: core.networks.resolverFor(names),
    dns: host.Dns.length > 0 ? host.Dns : core.config.dns,
    dnsSearch: host.DnsSearch.length > 0 ? host.DnsSearch : core.config.dnsSearch,
    dnsOptions: host.DnsOptions.length > 0 ? host.DnsOptions : core.config.dnsOptions,
  });
  const folder = containerFolder(core, record.id);
  mkdirSync(folder, { recursive: true, mode: 0o710 });
  const write = (file: (typeof files)[number], text: string): void =>
    writeFileSync(join(folder, file), text, { mode: 0o644 });
  write('hostname', contents.hostname);
  write('hosts', onHostNetwork(record) && !host.ExtraHosts?.length ? hostFile('hosts') : contents.hosts);
  write(
    'resolv.conf',
    onHostNetwork(record) && host.Dns.length === 0 ? hostFile('resolv.conf') : contents.resolvConf,
  );
}

/** Bind mounts of the three files, except where the user mounts something of their own. */
export function etcMounts(core: EngineCore, record: ContainerRecord, folderOf = record.id): RuntimeMount[] {
  const taken = new Set(record.mounts.map((mount) => mount.Destination));
  return files
    .filter((file) => !taken.has(`/etc/${file}`))
    .map((file) => ({
      type: 'bind',
      source: join(containerFolder(core, folderOf), file),
      destination: `/etc/${file}`,
      readOnly: false,
      options: ['rbind', 'rprivate'],
    }));
}

/** The host's own file, for containers in the host's network. */
function hostFile(file: 'hosts' | 'resolv.conf'): string {
  try {
    return readFileSync(`/etc/${file}`, 'utf8');
  } catch {
    return '';
  }
}
