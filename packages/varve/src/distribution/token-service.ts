import { VarveError } from '../base/index.ts';
import { answerFailure, parseFault, printable } from './failures.ts';
import type { HttpAnswer, Transport } from './transport.ts';
import type { RegistryCredentials } from './types.ts';

/** Where tokens for a registry are had: the parameters of its Bearer challenge. */
export interface TokenRealm {
  readonly url: URL;
  readonly service: string | undefined;
}

export interface Token {
  readonly value: string;
  /** Value of performance.now() from which it is not used any more. */
  readonly expires: number;
}

const answerLimit = 1024 * 1024;
/** Docker's token protocol: a token that does not say lives a minute. */
const defaultLifetime = 60;
/** Seconds before its end at which a token is given up, for the way and for clocks that differ. */
const margin = 10;

interface TokenAnswer {
  readonly token?: unknown;
  readonly access_token?: unknown;
  readonly expires_in?: unknown;
}

async function readToken(answer: HttpAnswer, realm: TokenRealm): Promise<Token> {
  const body = await answer.read(answerLimit);
  const failed = (why: string): VarveError =>
    new VarveError('unavailable', 'TOKEN_INVALID', `failed to fetch a token from ${realm.url.host}: ${why}`, {
      subject: realm.url.host,
    });
  let parsed: TokenAnswer | null;
  try {
    parsed = JSON.parse(body.toString()) as TokenAnswer | null;
  } catch {
    throw failed('the answer is not JSON');
  }
  const value = parsed?.token ?? parsed?.access_token;
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) throw failed('the answer has no token');
  const said = parsed?.expires_in;
  const lifetime = typeof said === 'number' && said > 0 ? Math.max(said, defaultLifetime) : defaultLifetime;
  return { value, expires: performance.now() + (lifetime - margin) * 1000 };
}

/** `Basic …`; undefined when there is no user name. */
export function basicHeader(credentials: RegistryCredentials | undefined): string | undefined {
  if (!credentials?.username) return undefined;
  const pair = `${credentials.username}:${credentials.password ?? ''}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/**
 * Gets tokens by Docker's token protocol: POST with an identity token (OAuth 2 refresh), else GET with basic
 * authentication or anonymously.
 */
export class TokenService {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws VarveError `unauthorized` when the credentials are refused. */
  async fetch(
    realm: TokenRealm,
    scopes: readonly string[],
    credentials: RegistryCredentials | undefined,
    options: { readonly insecure: boolean },
  ): Promise<Token> {
    const identity = credentials?.identityToken;
    if (identity !== undefined && identity !== '') {
      const answer = await this.#refresh(realm, scopes, identity, options);
      // A service without the OAuth 2 part may still take the password.
      const lacking = answer.status === 404 || answer.status === 405;
      if (!lacking || !credentials?.username) return await this.#finish(answer, realm);
      await answer.discard();
    }
    return await this.#finish(await this.#get(realm, scopes, credentials, options), realm);
  }

  async #get(
    realm: TokenRealm,
    scopes: readonly string[],
    credentials: RegistryCredentials | undefined,
    options: { readonly insecure: boolean },
  ): Promise<HttpAnswer> {
    const url = new URL(realm.url);
    if (realm.service !== undefined) url.searchParams.set('service', realm.service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    if (credentials?.username) url.searchParams.set('account', credentials.username);
    const basic = basicHeader(credentials);
    const headers = { accept: 'application/json', ...(basic === undefined ? {} : { authorization: basic }) };
    return await this.#transport.send({ method: 'GET', url, headers, ...options });
  }

  async #refresh(
    realm: TokenRealm,
    scopes: readonly string[],
    identityToken: string,
    options: { readonly insecure: boolean },
  ): Promise<HttpAnswer> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: identityToken,
      client_id: 'varve',
      scope: scopes.join(' '),
      ...(realm.service === undefined ? {} : { service: realm.service }),
    });
    return await this.#transport.send({
      method: 'POST',
      url: realm.url,
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
      ...options,
    });
  }

  async #finish(answer: HttpAnswer, realm: TokenRealm): Promise<Token> {
    if (answer.status === 200) return await readToken(answer, realm);
    const body = await answer.read(answerLimit);
    const refused = answer.status === 401 || answer.status === 400 || answer.status === 403;
    if (!refused) {
      throw answerFailure(
        { status: answer.status, body, retryAfter: undefined },
        { action: 'push', name: realm.url.host },
      );
    }
    const said = parseFault(body)?.message ?? printable(body.toString(), 200);
    throw new VarveError(
      'unauthorized',
      'UNAUTHORIZED',
      `unauthorized: ${said || 'incorrect username or password'}`,
      {
        subject: realm.url.host,
        hint: 'log in to this registry with `varve login`',
      },
    );
  }
}
