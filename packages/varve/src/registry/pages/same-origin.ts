import { isIP } from 'node:net';
import { RegistryError } from '../errors.ts';
import type { PageRequest } from './types.ts';

/**
 * Refuses a form that another site's page sent. Browsers say where a form comes from in Sec-Fetch-Site, and in Origin; who
 * says neither is no browser, and has the API.
 * @throws RegistryError `DENIED`
 */
export function requireSameOrigin({ asking }: Pick<PageRequest, 'asking'>): void {
  const { origin, host, 'sec-fetch-site': site } = asking.headers;
  if (site === undefined && origin === undefined) throw refused('it does not say where it comes from');
  if (site !== undefined && site !== 'same-origin') throw refused('it comes from another site');
  if (origin !== undefined && hostOf(origin) !== host?.toLowerCase()) {
    throw refused('it comes from another origin');
  }
}

/**
 * Refuses what nobody logged in for when the host is a name that anybody's DNS may point at this machine: a page of such a
 * name is of the same origin as ours (DNS rebinding), and an open registry asks for nothing else.
 * @throws RegistryError `DENIED`
 */
export function requirePlainHost({ asking, identity }: Pick<PageRequest, 'asking' | 'identity'>): void {
  if (identity.kind !== 'anonymous') return;
  const host = hostOf(`http://${asking.headers.host ?? ''}`)?.replace(/:\d+$/, '') ?? '';
  if (host === 'localhost' || isIP(host.replace(/^\[|\]$/g, '')) !== 0) return;
  throw refused('without a login, forms are taken at localhost or an address only');
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

function refused(why: string): RegistryError {
  return new RegistryError('DENIED', { message: `the form was refused: ${why}` });
}
