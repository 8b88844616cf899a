import type { AccessRequest } from './access-control.ts';
import { type AccessEntry, formatScope } from './scopes.ts';

/** How clients are told to authenticate. */
export type ChallengeOptions =
  | { readonly scheme: 'basic'; readonly realm: string }
  | {
      readonly scheme: 'bearer';
      readonly service: string;
      /** The token server's address, or a path on the host that the client asked. */
      readonly realm: { readonly url: string } | { readonly path: string; readonly encrypted?: boolean };
    };

const hostPattern = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

/**
 * The value of WWW-Authenticate: RFC 7617 section 2, and Docker's token protocol
 * (https://distribution.github.io/distribution/spec/auth/token/).
 */
export function challengeOf(
  options: ChallengeOptions,
  request: AccessRequest,
  scopes: readonly AccessEntry[],
  error?: string,
): string {
  if (options.scheme === 'basic') return `Basic realm="${options.realm}", charset="UTF-8"`;
  const parts = [`realm="${realmOf(options.realm, request)}"`, `service="${options.service}"`];
  if (scopes.length > 0) parts.push(`scope="${scopes.map(formatScope).join(' ')}"`);
  if (error !== undefined) parts.push(`error="${error}"`);
  return `Bearer ${parts.join(',')}`;
}

function realmOf(realm: (ChallengeOptions & { scheme: 'bearer' })['realm'], request: AccessRequest): string {
  if ('url' in realm) return realm.url;
  const { host = '', 'x-forwarded-proto': forwarded } = request.headers;
  // What a client claims of itself changes only its own answer; but it must not break out of the quotes.
  const encrypted = realm.encrypted ?? (request.encrypted || forwarded === 'https');
  return `${encrypted ? 'https' : 'http'}://${hostPattern.test(host) ? host : 'localhost'}${realm.path}`;
}
