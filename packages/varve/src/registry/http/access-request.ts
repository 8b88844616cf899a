import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { AccessRequest } from '../auth/index.ts';
import type { TrustedProxies } from './client-address.ts';

/** What of a request access control looks at. The certificate is read only when asked for: it costs. */
export function accessRequestOf(request: IncomingMessage, proxies: TrustedProxies): AccessRequest {
  const { headers, socket } = request;
  const forwarded = headers['x-forwarded-for'];
  const forwardedFor = Array.isArray(forwarded) ? forwarded.join(', ') : forwarded;
  const remote = proxies.clientOf(socket.remoteAddress, forwardedFor);
  const encrypted = 'encrypted' in socket;
  if (!encrypted) return { headers, remote, encrypted };
  return {
    headers,
    remote,
    encrypted,
    get certificate(): X509Certificate | undefined {
      const tls = socket as TLSSocket;
      // Without clientcas nothing was asked for and nothing verified.
      return tls.authorized ? tls.getPeerX509Certificate() : undefined;
    },
  };
}
