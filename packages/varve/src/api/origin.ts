import type { IncomingMessage } from 'node:http';
import { isIP, Socket } from 'node:net';

function hostName(host: string): string {
  return host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/**
 * Whether a request may come from where it says. Programs send no Origin. A browser does, and a page of another host
 * must not drive the engine, not even by a name that resolves to this machine (DNS rebinding): on TCP the Host must be
 * an address or localhost when there is an Origin, and both the same. Unix sockets are out of a browser's reach.
 */
export function originAllowed(request: IncomingMessage): boolean {
  const { origin, host = '' } = request.headers;
  if (origin === undefined) return true;
  if (request.socket instanceof Socket && request.socket.remoteAddress === undefined) return true;
  const name = hostName(host);
  if (isIP(name) === 0 && name !== 'localhost') return false;
  return origin === `http://${host}` || origin === `https://${host}`;
}
