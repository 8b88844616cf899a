import type { CredentialLookup, RegistryCredentials } from '../distribution/index.ts';

/** Base64 of either alphabet, padded or not. */
function decode(header: string): unknown {
  try {
    return JSON.parse(Buffer.from(header.replace(/-/g, '+').replace(/_/g, '/'), 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
}

function credentials(value: unknown): RegistryCredentials | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const text = (key: string): string | undefined => {
    const found = (value as Record<string, unknown>)[key];
    return typeof found === 'string' && found !== '' ? found : undefined;
  };
  const username = text('username');
  const password = text('password');
  const identityToken = text('identitytoken');
  const registryToken = text('registrytoken');
  if (username === undefined && identityToken === undefined && registryToken === undefined) return undefined;
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
  };
}

/** The credentials of an `X-Registry-Auth` header; what cannot be read is "none", as in Docker. */
export function registryAuth(header: string | string[] | undefined): RegistryCredentials | undefined {
  return typeof header === 'string' ? credentials(decode(header)) : undefined;
}

/** The credentials of an `X-Registry-Config` header (`docker build`), by registry host. */
export function registryConfig(header: string | string[] | undefined): CredentialLookup {
  const value = typeof header === 'string' ? decode(header) : undefined;
  const byHost = new Map<string, RegistryCredentials>();
  if (typeof value === 'object' && value !== null) {
    for (const [host, entry] of Object.entries(value)) {
      const found = credentials(entry);
      if (found) byHost.set(host.replace(/^https?:\/\//, '').replace(/\/.*$/, ''), found);
    }
  }
  return (host) =>
    Promise.resolve(byHost.get(host === 'docker.io' ? 'index.docker.io' : host) ?? byHost.get(host));
}
