import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import type { TlsOptions } from './transport.ts';

function read(folder: string, name: string): Buffer {
  try {
    return readFileSync(join(folder, name));
  } catch (error) {
    throw new VarveError('invalid', 'CERTIFICATE_UNREADABLE', `"${join(folder, name)}" cannot be read`, {
      subject: join(folder, name),
      cause: error,
    });
  }
}

/**
 * Docker's folder of certificates, `/etc/docker/certs.d`: for each host (`registry:5000/`) authorities in `*.crt` and
 * one client certificate in `*.cert` with its `*.key`. To be given to a RegistryClient as `tls`; read once for a host.
 */
export function certificateFolder(root: string): (host: string) => TlsOptions | undefined {
  const known = new Map<string, TlsOptions | undefined>();
  const load = (host: string): TlsOptions | undefined => {
    // A host comes from a reference or an address, whose grammars have no slash; `..` is no host either.
    if (host.includes('/') || host.startsWith('.')) return undefined;
    const folder = join(root, host);
    let names: readonly string[];
    try {
      names = readdirSync(folder).sort();
    } catch {
      return undefined;
    }
    const authorities = names.filter((name) => name.endsWith('.crt')).map((name) => read(folder, name));
    const client = names.find((name) => name.endsWith('.cert'));
    if (client === undefined) return authorities.length === 0 ? undefined : { ca: authorities };
    return {
      ...(authorities.length === 0 ? {} : { ca: authorities }),
      cert: read(folder, client),
      key: read(folder, client.replace(/\.cert$/, '.key')),
    };
  };
  return (host) => {
    if (!known.has(host)) known.set(host, load(host));
    return known.get(host);
  };
}
