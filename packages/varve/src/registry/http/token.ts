import { type Identity, parseScopes, type TokenServer } from '../auth/index.ts';
import { RegistryError } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import type { Handler, Services } from './services.ts';

const maxFormBytes = 64 * 1024;
const maxServiceLength = 200;

/**
 * GET /token: Basic credentials, a client certificate or nothing, for a token.
 * https://distribution.github.io/distribution/spec/auth/token/
 */
export const giveToken: Handler = async (exchange, services) => {
  const server = tokenServerOf(services);
  const { query, identity } = exchange;
  checkService(server, query.get('service'));
  await answer(exchange, services, identity, {
    scopes: query.getAll('scope'),
    offline: query.get('offline_token') === 'true',
  });
};

/**
 * POST /token: OAuth 2 with a password or a refresh token.
 * https://distribution.github.io/distribution/spec/auth/oauth/
 */
export const giveTokenForForm: Handler = async (exchange, services) => {
  const server = tokenServerOf(services);
  const bytes = await exchange.readBody(
    maxFormBytes,
    () => new RegistryError('SIZE_INVALID', { status: 413 }),
  );
  const form = new URLSearchParams(bytes.toString());
  checkService(server, form.get('service'));
  const grantType = form.get('grant_type') ?? '';
  let identity: Identity;
  if (grantType === 'password') {
    const [user, password] = [form.get('username') ?? '', form.get('password') ?? ''];
    if (user === '' || user.includes(':')) throw badRequest('invalid_request', 'no username');
    identity = await server.identifyPassword(user, password, exchange.asking);
  } else if (grantType === 'refresh_token') {
    identity = await server.identifyRefresh(form.get('refresh_token') ?? '');
  } else {
    throw badRequest('unsupported_grant_type', 'grant_type is password or refresh_token');
  }
  await answer(exchange, services, identity, {
    scopes: form.getAll('scope'),
    offline: grantType === 'password' && form.get('access_type') === 'offline',
  });
};

/** GET /.well-known/jwks.json: the keys that verify our tokens. */
export const publishKeys: Handler = (exchange, services) => {
  const keys = tokenServerOf(services).jwks();
  exchange.send(
    200,
    ['Content-Type', 'application/jwk-set+json', 'Cache-Control', 'max-age=300'],
    `${JSON.stringify(keys)}\n`,
  );
};

async function answer(
  exchange: Exchange,
  services: Services,
  identity: Identity,
  options: { readonly scopes: readonly string[]; readonly offline: boolean },
): Promise<void> {
  if (identity.refusal) {
    // Asked for the log: it is the same no.
    await services.auth.access.decide(identity, { type: 'registry', name: 'base' }, 'pull');
    throw new RegistryError('UNAUTHORIZED', {
      message: identity.refusal.reason,
      headers: { 'WWW-Authenticate': 'Basic realm="token", charset="UTF-8"' },
    });
  }
  // A token buys no other token: its bearer would live for ever.
  if (identity.token)
    throw new RegistryError('UNAUTHORIZED', { message: 'a token is not given for a token' });
  const token = await tokenServerOf(services).grant(identity, parseScopes(options.scopes), {
    offline: options.offline,
  });
  exchange.send(
    200,
    ['Content-Type', 'application/json', 'Cache-Control', 'no-store', 'Pragma', 'no-cache'],
    `${JSON.stringify(token)}\n`,
  );
}

function tokenServerOf({ auth }: Services): TokenServer {
  if (auth.tokenServer) return auth.tokenServer;
  throw new RegistryError('NAME_UNKNOWN', { message: 'no such endpoint' });
}

/** A client that names another service would get a token that nobody takes. */
function checkService(server: TokenServer, service: string | null): void {
  if (service === null || service === server.service) return;
  throw badRequest('invalid_target', `not a service of this server: ${service.slice(0, maxServiceLength)}`);
}

/** RFC 6749 section 5.2, in the registry's form of an error. */
function badRequest(error: string, message: string): RegistryError {
  return new RegistryError('UNKNOWN', { status: 400, message, detail: { error } });
}
