import type { IncomingMessage } from 'node:http';
import { isIP, Socket } from 'node:net';

function hostName(host: string): string {
  return host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Headers that every browser sends of its own, and that a script can change but not leave out; programs have none. */
const browserHeaders = ['accept-language', 'sec-fetch-site', 'referer'];

function fromBrowser(request: IncomingMessage): boolean {
  const { headers } = request;
  return (
    browserHeaders.some((name) => headers[name] !== undefined) ||
    (headers['user-agent'] ?? '').startsWith('Mozilla/')
  );
}

/**
 * Whether a request may come from where it says. Programs send no Origin. A browser does with all but a GET of the
 * page's own host, and a page of another host must not drive the engine, not even by a name that resolves to this
 * machine (DNS rebinding, where host and page seem the same): on TCP a browser must name an address or localhost, and
 * Host and Origin must agree. Unix sockets are out of a browser's reach.
 */
export function originAllowed(request: IncomingMessage): boolean {
  const { origin, host = '' } = request.headers;
  if (origin === undefined && !fromBrowser(request)) return true;
  if (request.socket instanceof Socket && request.socket.remoteAddress === undefined) return true;
  const name = hostName(host);
  if (isIP(name) === 0 && name !== 'localhost') return false;
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}
