import { isIP } from 'node:net';
import { embeddedDnsAddress } from './dns-server.ts';

/** What a container's own /etc files are made from. */
export interface ContainerFilesRequest {
  readonly hostname: string;
  readonly domainname?: string;
  /** Its addresses, the first network's first. */
  readonly addresses: readonly string[];
  /** `--add-host`, as `name:address`; `host-gateway` is already an address. */
  readonly extraHosts: readonly string[];
  /** `embedded` for a container on a network of the user's, `host` for one on the default bridge. */
  readonly resolver: 'embedded' | 'host';
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** Content of the host's /etc/resolv.conf. */
  readonly hostResolvConf: string;
}

/** Contents of /etc/hosts, /etc/resolv.conf and /etc/hostname. */
export interface ContainerFiles {
  readonly hosts: string;
  readonly resolvConf: string;
  readonly hostname: string;
}

/** The parts of a resolv.conf(5). */
export interface ResolvConf {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

// What Docker falls back to where the host's own resolver listens on loopback, which a container cannot reach.
const publicServers = ['8.8.8.8', '8.8.4.4'];

export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  let search: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const [word, ...rest] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (word === 'nameserver' && rest[0] !== undefined && isIP(rest[0].replace(/%.*$/, '')))
      servers.push(rest[0]);
    if (word === 'search' || word === 'domain') search = rest;
    if (word === 'options') options = rest;
  }
  return { servers, search, options };
}

const isLoopback = (server: string): boolean => server.startsWith('127.') || server === '::1';

function resolvConf(request: ContainerFilesRequest): string {
  const host = parseResolvConf(request.hostResolvConf);
  const given = request.dns.length > 0 ? request.dns : host.servers.filter((server) => !isLoopback(server));
  const servers =
    request.resolver === 'embedded' ? [embeddedDnsAddress] : given.length > 0 ? given : publicServers;
  // `--dns-search .` asks for none at all.
  const search = (request.dnsSearch.length > 0 ? request.dnsSearch : host.search).filter(
    (name) => name !== '.',
  );
  const options = [...(request.dnsOptions.length > 0 ? request.dnsOptions : host.options)];
  // A single-label name is a container's name here: it must be tried before the search list.
  if (request.resolver === 'embedded' && !options.some((option) => option.startsWith('ndots:'))) {
    options.push('ndots:0');
  }
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n');
}

function hosts(request: ContainerFilesRequest): string {
  const name = request.hostname.split('.')[0] ?? request.hostname;
  const full = request.domainname ? `${request.hostname}.${request.domainname}` : request.hostname;
  const own = full === name ? name : `${full} ${name}`;
  const extra = request.extraHosts.map((line) => {
    // The name ends at the first separator; an IPv6 address has more of them.
    const at = line.search(/[:=]/);
    const address = line.slice(at + 1).replace(/^\[(.*)\]$/, '$1');
    return `${address}\t${line.slice(0, at)}`;
  });
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::\tip6-localnet',
    'ff00::\tip6-mcastprefix',
    'ff02::1\tip6-allnodes',
    'ff02::2\tip6-allrouters',
    ...extra,
    ...request.addresses.map((address) => `${address}\t${own}`),
    '',
  ].join('\n');
}

/** The contents, in Docker's form. */
export function containerFiles(request: ContainerFilesRequest): ContainerFiles {
  return { hosts: hosts(request), resolvConf: resolvConf(request), hostname: `${request.hostname}\n` };
}
