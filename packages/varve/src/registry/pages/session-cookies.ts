import { createHmac, timingSafeEqual } from 'node:crypto';
import { randomId } from '../../base/index.ts';
import type { AccessRequest, SessionHolder } from '../auth/index.ts';
import { RegistryError } from '../errors.ts';

/** A login that is on. */
export interface Session {
  readonly id: string;
  readonly holder: SessionHolder;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

// Under TLS the prefix keeps hosts beside this one from setting it (RFC 6265bis section 4.1.3.2).
const secureName = '__Host-varve-session';
const plainName = 'varve-session';
const formLifetimeMs = 3600_000;
/** What an outside provider vouched for is asked of it again after this. */
const outsideLifetimeMs = 3600_000;
const maxCookieBytes = 4096;

/**
 * Sessions in cookies: who logged in, signed, so that they survive a restart and nodes can share them. The password is not
 * in them. Which of them were ended by a logout is in the records.
 */
export class SessionCookies {
  readonly #key: Uint8Array;
  readonly #lifetimeMs: number;
  readonly #now: () => number;

  /** @param key of 32 bytes */
  constructor(key: Uint8Array, lifetimeMs: number, now: () => number = Date.now) {
    this.#key = key;
    this.#lifetimeMs = lifetimeMs;
    this.#now = now;
  }

  /** The value of Set-Cookie that begins a session. @throws RegistryError `DENIED` where a cookie cannot hold it */
  open(holder: SessionHolder, request: AccessRequest): string {
    const lifetime = holder.via === 'oidc' ? Math.min(this.#lifetimeMs, outsideLifetimeMs) : this.#lifetimeMs;
    const session: Session = { id: randomId(), holder, expiresAt: this.#now() + lifetime };
    const body = Buffer.from(JSON.stringify(session)).toString('base64url');
    if (body.length > maxCookieBytes - 200) {
      throw new RegistryError('DENIED', { message: 'too many groups for a session on the pages' });
    }
    return cookie(request, `${body}.${this.#sign('session', body)}`, Math.floor(lifetime / 1000));
  }

  /** The session of a request; undefined when it has none that is good. */
  read(request: AccessRequest): Session | undefined {
    const value = cookieOf(request);
    if (value === undefined || value.length > maxCookieBytes) return undefined;
    const [body = '', signature = ''] = value.split('.');
    if (!this.#matches(signature, 'session', body)) return undefined;
    const session = JSON.parse(Buffer.from(body, 'base64url').toString()) as Session;
    if (session.expiresAt <= this.#now()) return undefined;
    return session;
  }

  /** The value of Set-Cookie that removes a session from the browser. */
  close(request: AccessRequest): string {
    return cookie(request, '', 0);
  }

  /** What a form carries that only a page of ours could have given to this client, for this one action. */
  formToken(client: string, action: string): string {
    const expires = String(this.#now() + formLifetimeMs);
    return `${expires}.${this.#sign('form', client, action, expires)}`;
  }

  checkFormToken(token: string, client: string, action: string): boolean {
    const [expires = '', signature = ''] = token.split('.');
    return this.#matches(signature, 'form', client, action, expires) && Number(expires) > this.#now();
  }

  #sign(...parts: readonly string[]): string {
    return createHmac('sha256', this.#key).update(JSON.stringify(parts)).digest('base64url');
  }

  #matches(signature: string, ...parts: readonly string[]): boolean {
    const [given, right] = [Buffer.from(signature), Buffer.from(this.#sign(...parts))];
    return given.length === right.length && timingSafeEqual(given, right);
  }
}

/** Whether the client came by TLS, as far as we are told. What it claims of itself changes only its own cookie. */
function isSecure({ encrypted, headers }: AccessRequest): boolean {
  return encrypted || headers['x-forwarded-proto'] === 'https';
}

function cookie(request: AccessRequest, value: string, seconds: number): string {
  const secure = isSecure(request);
  const attributes = `Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;
  return `${secure ? secureName : plainName}=${value}; ${attributes}`;
}

function cookieOf(request: AccessRequest): string | undefined {
  const name = isSecure(request) ? secureName : plainName;
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [key = '', value] = pair.trim().split('=', 2);
    if (key === name) return value;
  }
  return undefined;
}
